"""Checkpoints of StyleGAN2: pickled networks without running their code, and two sets of names."""

import numpy as np
import pytest
from command_samples import refused
from importer_samples import persistent_pickle

pytest.importorskip("torch")
import torch

from nmc_framework.inverse.generator import StyleGenerator
from nmc_framework.inverse.packages import open_model
from nmc_framework.inverse.stylegan2_names import generator_of
from nmc_framework.models import ModelError
from nmc_tools.checkpoints import CheckpointError, read

SMALL = {
    "noise": 6,
    "code": 5,
    "mapping": 2,
    "sides": [4, 8, 16],
    "layers": [1, 2, 2],
    "channels": [4, 4, 3],
}


def built(**more):
    model = StyleGenerator.build(SMALL | more, seed=3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("bias", "noise_strength")):
                parameter.add_(torch.randn(parameter.shape) * 0.3)
        model.mapping.w_avg.copy_(torch.randn(5))
    return model.eval()


@pytest.fixture
def pickled(tmp_path):
    def make(model, **more):
        path = tmp_path / "network.pkl"
        judge = torch.nn.Module()
        judge.b4 = torch.nn.Linear(3, 2)
        path.write_bytes(persistent_pickle({"G": None, "D": judge, "G_ema": model} | more))
        return path

    return make


def of_rosinality(model):
    """Return a generator's parameters as stylegan2-pytorch names and shapes them."""
    state = {k: torch.from_numpy(v) for k, v in model.save().items()}
    found = {}
    for k in range(2):
        for part in ("weight", "bias"):
            found[f"style.{k + 1}.{part}"] = state[f"mapping.fc{k}.{part}"]
    found["input.input"] = state["synthesis.b4.const"][None]
    convs = [
        ("conv1", "b4.conv1"),
        *((f"convs.{2 * b + c}", f"b{8 << b}.conv{c}") for b in range(2) for c in range(2)),
    ]
    for k, (theirs, place) in enumerate(convs):
        ours = f"synthesis.{place}."
        found[f"{theirs}.conv.weight"] = state[ours + "weight"][None]
        found[f"{theirs}.conv.modulation.weight"] = state[ours + "affine.weight"]
        found[f"{theirs}.conv.modulation.bias"] = state[ours + "affine.bias"]
        found[f"{theirs}.noise.weight"] = state[ours + "noise_strength"].reshape(1)
        found[f"{theirs}.activate.bias"] = state[ours + "bias"]
        found[f"noises.noise_{k}"] = state[ours + "noise_const"][None, None]
    colours = [("to_rgb1", "b4"), ("to_rgbs.0", "b8"), ("to_rgbs.1", "b16")]
    for theirs, place in colours:
        ours = f"synthesis.{place}.torgb."
        found[f"{theirs}.conv.weight"] = state[ours + "weight"][None]
        found[f"{theirs}.conv.modulation.weight"] = state[ours + "affine.weight"]
        found[f"{theirs}.conv.modulation.bias"] = state[ours + "affine.bias"]
        found[f"{theirs}.bias"] = state[ours + "bias"].reshape(1, 3, 1, 1)
    return found


def same(one, other):
    codes = one.drawn(2, torch.Generator().manual_seed(1))
    with torch.no_grad():
        return torch.allclose(one(codes), other(codes), atol=1e-6)


def test_a_pickled_network_is_read_and_not_run(run, pickled, tmp_path):
    model = built()
    path = pickled(model)
    state = read(path, key="G_ema").state
    assert {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in model.save().items()}
    assert all(np.array_equal(state[k], v) for k, v in model.save().items())
    done = run("inverse", "import", path, "-o", tmp_path / "g.nmc")
    assert done.code == 0 and "16x16, 6 layers" in done.out, done
    assert same(open_model(tmp_path / "g.nmc", StyleGenerator), model)
    assert run("check", tmp_path / "g.nmc").code == 0


def test_a_damaged_pickle_is_refused(pickled, tmp_path):
    data = pickled(built()).read_bytes()
    for cut in (len(data) // 3, len(data) - 5):
        (tmp_path / "cut.pkl").write_bytes(data[:cut])
        with pytest.raises(CheckpointError):
            read(tmp_path / "cut.pkl")
    # A storage whose own list of storages is another's.
    wrong = data.replace(
        b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.", b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x18."
    )
    assert wrong != data
    (tmp_path / "cut.pkl").write_bytes(wrong)
    with pytest.raises(CheckpointError, match=r"not PyTorch's before 1\.6"):
        read(tmp_path / "cut.pkl")


def test_a_pickle_that_runs_something_is_refused(pickled):
    class Evil:
        def __reduce__(self):
            import os

            return os.system, ("false",)

    path = pickled(built(), more=Evil())
    with pytest.raises(CheckpointError, match=r"would run posix\.system"):
        read(path)


def test_the_other_program_s_names_fit(run, tmp_path):
    model = built()
    path = tmp_path / "other.pt"
    torch.save({"g_ema": of_rosinality(model), "latent_avg": torch.zeros(5)}, path)
    done = run("inverse", "import", path, "-o", tmp_path / "g.nmc")
    assert done.code == 0, done
    found = open_model(tmp_path / "g.nmc", StyleGenerator)
    codes = model.drawn(2, torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(found(codes), model(codes), atol=1e-6)
    # The mean code is found anew: there is none among the generator's own.
    noise = torch.randn(4096, 6)
    with torch.no_grad():
        expected = model.mapping(noise).mean(dim=0)
    assert torch.allclose(found.mapping.w_avg, expected, atol=0.2)


def test_other_architectures_are_refused(run, tmp_path):
    whole = built().save()
    for change, told in (
        (lambda s: s.update({"mapping.embed.weight": np.zeros(3, "f4")}), "of classes"),
        (lambda s: s.update({"synthesis.b8.skip.weight": np.zeros(3, "f4")}), "no skip connect"),
        (lambda s: s.pop("synthesis.b4.torgb.weight"), "no skip connections"),
        (lambda s: s.pop("mapping.fc0.weight"), "lacks mapping.fc0.weight"),
        (lambda s: s.pop("synthesis.b16.conv1.bias"), "lacks 'synthesis.b16.conv1.bias'"),
        (lambda s: s.pop("synthesis.b16.torgb.weight"), "lacks synthesis.b16.torgb.weight"),
        (lambda s: s.update({"synthesis.b8.conv0.resample_filter": np.ones((4, 4), "f4")}),
         "another filter"),
        (lambda s: s.update({"synthesis.b4.torgb.weight": np.zeros((1, 4, 1, 1), "f4")}),
         "have 1 channels"),
    ):  # fmt: skip
        state = dict(whole)
        change(state)
        with pytest.raises(ModelError, match=told):
            generator_of(state)
    torch.save({"layer.weight": torch.zeros(3)}, tmp_path / "resnet.pt")
    done = run("inverse", "import", tmp_path / "resnet.pt", "-o", tmp_path / "g.nmc")
    assert "holds no generator of StyleGAN2" in refused(done, "input/unreadable")
    (tmp_path / "text.pt").write_text("nothing")
    done = run("inverse", "import", tmp_path / "text.pt", "-o", tmp_path / "g.nmc")
    assert done.code == 1 and done.err.count("\n") == 1
    assert not (tmp_path / "g.nmc").exists()
