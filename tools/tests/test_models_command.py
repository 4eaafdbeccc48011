"""``nmc models``: the families that are there, and those that cannot be used."""

import json
from importlib.metadata import EntryPoint, EntryPoints

import pytest

pytest.importorskip("torch")

from nmc_framework.models import registry


def test_families_are_listed_with_a_line_each(command_line):
    done = command_line("models")
    assert (done.code, done.err) == (0, "")
    for name in ("hash_grid", "nerf_mlp", "voxel_grid"):
        assert f" {name} " in done.out
    listed = {each["family"]: each for each in json.loads(command_line("models", "--json").out)}
    assert listed["nerf_mlp"]["kind"] == "radiance field"
    assert listed["nerf_mlp"]["options"]["width"] == 256
    assert listed["siren"]["kind"] == "pictures"
    commands = [each["trained_by"] for each in listed.values()]
    assert commands.count("nmc train") == 18 and len(commands) == 24
    assert listed["style_generator"]["trained_by"] == "nmc inverse generator"
    assert "'nmc sr train' trains edsr and vdsr; 'nmc train' does not." in done.out
    assert all(each["summary"].endswith(".") and not each["error"] for each in listed.values())


def test_one_family_is_told_with_its_options_and_layers(command_line):
    done = command_line("models", "tensorf")
    assert done.code == 0 and "planes times lines; cp: lines alone" in " ".join(done.out.split())
    assert "0 to 2" in done.out and "factors.0.* … factors.2.*" in done.out
    told = json.loads(command_line("models", "tensorf", "--json").out)
    assert told["options"]["ranks"] == [8, 16] and told["layers"][0]["last"] == 2
    assert sum(each["weights"] for each in told["layers"]) > 400_000
    done = command_line("models", "tensor")
    assert done.code == 2 and "no model family 'tensor'" in done.err


def test_a_package_that_is_broken_is_told_and_hides_nothing(command_line, monkeypatch):
    points = EntryPoints([EntryPoint("mine", "no_such_module:X", registry.GROUP)])
    monkeypatch.setattr(registry, "entry_points", points.select)
    listed = {each["family"]: each for each in json.loads(command_line("models", "--json").out)}
    assert len(listed) == len(registry.families()) and listed["hash_grid"]["error"] is None
    assert "nmc.models:mine cannot be loaded: No module" in listed["mine"]["error"]
    assert "cannot be used: the entry point" in command_line("models").out
