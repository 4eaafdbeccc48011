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


def test_a_package_that_is_broken_is_told_and_hides_nothing(command_line, monkeypatch):
    points = EntryPoints([EntryPoint("mine", "no_such_module:X", registry.GROUP)])
    monkeypatch.setattr(registry, "entry_points", points.select)
    listed = {each["family"]: each for each in json.loads(command_line("models", "--json").out)}
    assert len(listed) == len(registry.families()) and listed["hash_grid"]["error"] is None
    assert "nmc.models:mine cannot be loaded: No module" in listed["mine"]["error"]
    assert "cannot be used: the entry point" in command_line("models").out
