"""``nmc unpack``: names of the sources, and whole training checkpoints to go on from."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

import nmc
from nmc_tools.checkpoints.naming import file_names
from nmc_tools.checkpoints.nesting import restore

HOSTILE = [
    "../../etc/passwd.pth",
    "..",
    ".",
    "/abs/x.pth",
    "a\\b.pth",
    "",
    "con.pth",
    "LPT1",
    ".hidden.pt",
    "-rf.pt",
    "a\0b.pt",
    "line\nbreak.pt",
    "\u202egnp.exe",
    "x" * 900 + ".pth",
    "한" * 300 + ".pth",
    "same.pth",
    "same.pt",
    "SAME.ckpt",
    "e\u0301.pt",
    "\u00e9.pt",
    "frame_00000003.pt",
    "trailing. ",
    "...",
    "\udcff.pt",
    "a:b*c?.pt",
]


def test_names_of_sources_are_safe_and_no_two_the_same() -> None:
    made = file_names(enumerate(HOSTILE), "source", ".pt")
    assert len(made) == len(HOSTILE)
    assert len({name.casefold() for name in made.values()}) == len(HOSTILE)
    for name in made.values():
        assert Path(name).name == name
        assert name not in {".pt", ".", ".."}
        assert not name.startswith((".", "-"))
        assert name.isprintable()
        assert not set(name) & set('<>:"|?*/\\')
        assert len(name.encode()) <= 255 - 20
        assert name.endswith(".pt")
    assert made[0] == "passwd.pt"
    assert made[15] == "same.pt"
    assert made[16] == "same_frame_00000016.pt"
    assert file_names([(3, "epoch_10.pth.tar")], "source", ".npz") == {3: "epoch_10.npz"}
    assert file_names([(3, "epoch_10.5.pth")], "source", ".pt") == {3: "epoch_10.5.pt"}
    assert file_names([(3, "epoch_10.pth")], "frame", ".pt") == {3: "frame_00000003.pt"}


def test_unpack_by_the_names_of_the_sources(command_line, tmp_path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for epoch in (1, 2, 10):
        np.savez(run / f"epoch_{epoch}.npz", w=np.full(3, epoch, "f4"))
    package, out = tmp_path / "x.nmc", tmp_path / "out"
    assert command_line("pack", run, "-o", package).code == 0
    arguments = ("unpack", package, "-o", out, "--to", "npz", "--names", "source")
    assert command_line(*arguments).code == 0
    assert sorted(p.name for p in out.iterdir()) == ["epoch_1.npz", "epoch_10.npz", "epoch_2.npz"]
    assert np.load(out / "epoch_10.npz")["w"][0] == 10
    assert command_line(*arguments).code == 1
    assert command_line(*arguments, "--resume").code == 0
    only = tmp_path / "only"
    command_line("unpack", package, "-o", only, "--to", "npz", "--names", "source", "--frames", "2")
    assert [p.name for p in only.iterdir()] == ["epoch_10.npz"]


@pytest.mark.parametrize("kind", ["directory", "link", "other bytes", "short"])
@pytest.mark.parametrize("media", [False, True])
def test_resuming_takes_only_what_is_finished(command_line, tmp_path, kind, media) -> None:
    """An entry of the right name is no proof that it was written."""
    package, out = tmp_path / "x.nmc", tmp_path / "out"
    with nmc.Writer(package, media=[nmc.Media(b"a" * 100, name="m")]) as writer:
        writer.append({"w": np.ones(2, "f4")})
    arguments = ["unpack", package, "-o", out, *["--media"] * media]
    assert command_line(*arguments).code == 0
    (file,) = out.iterdir()
    right = file.read_bytes()
    assert command_line(*arguments, "--resume").code == 0
    file.unlink()
    if kind == "directory":
        file.mkdir()
    elif kind == "link":
        (tmp_path / "elsewhere").write_bytes(right)
        file.symlink_to(tmp_path / "elsewhere")
    else:
        file.write_bytes(b"a" + right[1:-1] + b"?" if kind == "other bytes" else right[:-1])
    done = command_line(*arguments, "--resume")
    assert done.code == 1
    assert "not what would be written" in done.err
    assert [path.name for path in out.iterdir()] == [file.name]
    if kind != "directory":
        forced = command_line(*arguments, "--force")
        assert forced.code == int(media and kind == "link")
        assert media or file.read_bytes() == right


def test_a_name_that_leads_out_stays_inside(command_line, tmp_path) -> None:
    with nmc.Writer(tmp_path / "x.nmc") as writer:
        for name in ("..hidden", "con", "a.pth", "A.pth"):
            writer.append({"w": np.ones(2)}, source_name=name)
    out = tmp_path / "deep" / "out"
    done = command_line("unpack", tmp_path / "x.nmc", "-o", out, "--to", "npz", "--names", "source")
    assert done.code == 0
    assert len(list(out.iterdir())) == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "x.nmc"]


def _script(torch, path: Path | None, steps: int):
    """A script that trains and resumes as people write it."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.BatchNorm1d(5))
    optimizer = torch.optim.AdamW(
        [{"params": [*model[0].parameters()]}, {"params": [*model[1].parameters()], "lr": 1e-2}]
    )
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    epoch, best = 0, float("inf")
    if path is not None:
        checkpoint = torch.load(path, weights_only=False)
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        scheduler.load_state_dict(checkpoint["scheduler"])
        epoch, best = checkpoint["epoch"], checkpoint["best"]
        assert checkpoint["args"].name == "run"
        assert checkpoint["shape"] == (3, 5)
    files = []
    for step in range(epoch, steps):
        data = torch.linspace(-1, 1, 12).reshape(4, 3) * (step + 1)
        loss = model(data).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        best = min(best, loss.item())
        files.append(
            {
                "epoch": step + 1,
                "best": best,
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "scheduler": scheduler.state_dict(),
                "args": argparse.Namespace(name="run", lr=0.1),
                "shape": (3, 5),
            }
        )
        yield files[-1]


def test_a_script_resumes_from_what_was_unpacked(command_line, tmp_path) -> None:
    torch = pytest.importorskip("torch")
    run = tmp_path / "run"
    run.mkdir()
    for checkpoint in _script(torch, None, 3):
        torch.save(checkpoint, run / f"epoch_{checkpoint['epoch']}.pth")
    expected = {
        k: v.clone() for k, v in list(_script(torch, run / "epoch_3.pth", 5))[-1]["model"].items()
    }
    package, out = tmp_path / "x.nmc", tmp_path / "out"
    assert command_line("pack", run, "-o", package, "--keep", "all").code == 0
    assert nmc.check(package).accepted
    done = command_line("unpack", package, "-o", out, "--to", "pt", "--names", "source")
    assert done.code == 0, done
    assert sorted(p.name for p in out.iterdir()) == [f"epoch_{t}.pt" for t in (1, 2, 3)]
    for t in (1, 2, 3):
        before = torch.load(run / f"epoch_{t}.pth", weights_only=False)
        after = torch.load(out / f"epoch_{t}.pt", weights_only=False)
        assert _same(before, after)
    last = list(_script(torch, out / "epoch_3.pt", 5))[-1]
    assert last["epoch"] == 5
    for name, tensor in last["model"].items():
        assert torch.equal(tensor, expected[name]), name
    command_line("unpack", package, "-o", tmp_path / "flat", "--to", "pt", "--flat")
    flat = torch.load(tmp_path / "flat" / "frame_00000000.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in flat.values())


def _same(a, b) -> bool:
    import torch

    if type(a) is not type(b):
        return False
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b) and a.requires_grad == b.requires_grad
    if isinstance(a, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return bool(a == b)


@pytest.mark.parametrize(
    "tree",
    [
        {"unknown": 1},
        {"tensor": "gone"},
        {"tensor": ["w"]},
        {"dict": [[[1], 2]]},
        {"dict": 3},
        {"set": [{"dict": []}]},
        {"bytes": "!"},
        {"int": "1e5"},
        {"object": "torch.device", "args": ["nonsense"]},
        {"object": ["x"]},
        {"name": 3},
    ],
    ids=str,
)
def test_a_malformed_note_of_the_nesting(command_line, tmp_path, tree) -> None:
    pytest.importorskip("torch")
    noted = {"checkpoint": {"format": "torch", "keep": "all", "tree": tree}}
    with nmc.Writer(tmp_path / "x.nmc", configuration=noted) as writer:
        writer.append({"w": np.ones(2)})
    done = command_line("unpack", tmp_path / "x.nmc", "-o", tmp_path / "o", "--to", "pt")
    assert done.code in {0, 1}
    if done.code:
        assert done.err.startswith("error input/unreadable")
        assert done.err.count("\n") == 1
        assert not list((tmp_path / "o").iterdir())
    done = command_line("unpack", tmp_path / "x.nmc", "-o", tmp_path / "o2", "--to", "pt", "--flat")
    assert done.code == 0


@pytest.mark.parametrize("kind", ["tensor", "array", "numbers"])
@pytest.mark.parametrize("more", [{}, {"tuple": True}])
def test_what_a_tree_names_often_is_made_once(kind, more) -> None:
    """A tree takes bytes for each mention, and must not take a copy of the tensor for each."""
    tree = [{kind: "w"} | more] * 1000 + [{kind: "v"} | more]
    made = restore(
        tree,
        {"w": np.arange(9.0), "v": np.arange(9.0)},
        make_tensor=lambda array, *flags: array.copy(),
        make_other=dict,
    )
    assert all(part is made[0] for part in made[:1000])
    assert made[1000] is not made[0]
    assert type(made[0]) is (np.ndarray if kind != "numbers" else tuple if more else list)


def test_no_code_of_a_package_runs(command_line, tmp_path) -> None:
    torch = pytest.importorskip("torch")
    tree = {
        "dict": [
            ["a", {"object": "os.system", "args": ["touch was_here"]}],
            ["b", {"name": "torch.load"}],
            ["c", {"object": "builtins.eval", "args": ["1/0"]}],
        ]
    }
    noted = {"checkpoint": {"format": "torch", "keep": "all", "tree": tree}}
    with nmc.Writer(tmp_path / "x.nmc", configuration=noted) as writer:
        writer.append({"w": np.ones(2)})
    done = command_line("unpack", tmp_path / "x.nmc", "-o", tmp_path / "o", "--to", "pt")
    assert done.code == 0
    assert "os.system is not an object of that class" in done.out
    made = torch.load(tmp_path / "o" / "frame_00000000.pt", weights_only=True)
    assert made["b"] == "torch.load"
