"""Selections of files, and layer numbers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from nmc_tools.checkpoints import (
    CheckpointError,
    doubt,
    expand,
    layers_of,
    parse_layers,
    read,
    read_source,
    select,
)


@pytest.fixture
def run(tmp_path):
    for i in (10, 2, 1):
        (tmp_path / f"frame{i}.pt").touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".frame3.pt.partial").touch()
    (tmp_path / ".hidden.pt").touch()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "frame0.SAFETENSORS").touch()
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_a_directory_in_natural_order(run):
    assert names(expand([run])) == ["frame1.pt", "frame2.pt", "frame10.pt"]


def test_globs(run):
    assert names(expand([str(run / "frame?.*")])) == ["frame1.pt", "frame2.pt"]
    assert names(expand([str(run / "**" / "*")])) == [
        "frame0.SAFETENSORS", "frame1.pt", "frame2.pt", "frame10.pt",
    ]  # fmt: skip


def test_a_list_that_a_shell_sorted_is_taken_by_its_numbers(run):
    given = [run / "frame1.pt", run / "frame10.pt", run / "frame2.pt", run / "notes.txt"]
    selection = select(given)
    assert [s.name for s in selection.sources] == [
        "frame1.pt", "frame2.pt", "frame10.pt", "notes.txt",
    ]  # fmt: skip
    assert "--order given" in selection.notes[0]
    assert names(expand(str(run / "frame2.pt"))) == ["frame2.pt"]


def test_a_list_in_an_order_of_its_own_is_taken_as_it_is(run):
    given = [run / "frame10.pt", run / "frame1.pt", run / "frame2.pt"]
    assert names(expand(given)) == ["frame10.pt", "frame1.pt", "frame2.pt"]
    assert select(given).notes == []
    assert [s.name for s in select(given, "natural").sources] == [
        "frame1.pt", "frame2.pt", "frame10.pt",
    ]  # fmt: skip
    shell = [run / "frame1.pt", run / "frame10.pt", run / "frame2.pt"]
    assert [s.name for s in select(shell, "given").sources] == [p.name for p in shell]
    for i, path in enumerate(given):
        os.utime(path, (i, i))
    assert [s.name for s in select(shell, "time").sources] == [p.name for p in given]


def touch(folder, *files):
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_a_folder_that_frames_were_unpacked_into(tmp_path):
    folder = touch(tmp_path, "epoch_1.pth", "frame_00000000.safetensors")
    for given in (folder, str(folder / "*")):
        with pytest.raises(CheckpointError, match=r"as nmc unpack.*frames twice"):
            select([given])
    assert len(select([folder / "epoch_1.pth"]).sources) == 1
    (folder / "epoch_1.pth").unlink()
    assert names(expand([folder])) == ["frame_00000000.safetensors"]


def test_a_folder_of_several_kinds(tmp_path):
    folder = touch(tmp_path, "a_1.pth", "a_1.safetensors")
    with pytest.raises(CheckpointError, match=r"several kinds \(1 .pth, 1 .safetensors\)"):
        select([folder])
    assert "several kinds" in select([str(folder / "*")]).notes[0]
    (folder / "a_1.pth").unlink()
    touch(folder, "pytorch_model.bin", "optimizer.pt", "rng_state_0.pth")
    selection = select([folder])
    assert [s.name for s in selection.sources] == ["a_1.safetensors"]
    assert len(selection.notes) == 3


def test_what_has_no_number_beside_numbers(tmp_path):
    folder = touch(tmp_path, "epoch=1.ckpt", "epoch=2.ckpt", "last.ckpt")
    selection = select([folder])
    assert [s.name for s in selection.sources] == ["epoch=1.ckpt", "epoch=2.ckpt"]
    assert selection.notes == ["last.ckpt: has no number as the others have; name it to take it"]


def test_folders_of_gaussian_splatting(tmp_path):
    for frame in (10, 9):
        for iteration in (30000, 7000):
            touch(tmp_path, f"f{frame}/point_cloud/iteration_{iteration}/point_cloud.ply")
        touch(tmp_path, f"f{frame}/input.ply")
    one = select([tmp_path / "f9"])
    assert [s.name for s in one.sources] == ["iteration_7000.ply", "iteration_30000.ply"]
    assert one.notes == ["input.ply: not of the models in the folders beside it"]
    chain = select([tmp_path])
    assert [s.name for s in chain.sources] == ["f9.ply", "f10.ply"]
    assert all(s.paths[0].parent.name == "iteration_30000" for s in chain.sources)
    inner = select([tmp_path / "f9" / "point_cloud"])
    assert len(inner.sources) == 2


def shards(folder, count, *, first=1, index=True, names=None):
    """A model in several files, one tensor in each."""
    owners = {}
    for i in range(first, first + count):
        file = f"model-{i:05d}-of-{count:05d}.safetensors"
        tensor = names[i - first] if names else f"w{i}"
        save_file({tensor: np.full(2, i, np.float32)}, folder / file)
        owners[tensor] = file
    if index:
        text = json.dumps({"metadata": {}, "weight_map": owners})
        (folder / "model.safetensors.index.json").write_text(text)
    return folder


@pytest.mark.parametrize("first", [0, 1])
def test_a_model_in_several_files_is_one_frame(tmp_path, first):
    folder = shards(tmp_path, 3, first=first)
    expected = {f"w{i}": float(i) for i in range(first, first + 3)}
    files = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    for given in ([folder], [str(folder / "*")], files, files[::-1], [index]):
        (source,) = select(given).sources
        state = read_source(source, read).state
        assert {name: array[0] for name, array in state.items()} == expected
        assert source.name == "model.safetensors"


def test_a_keras_model_in_several_files_is_one_frame(tmp_path):
    """Fault of shards: tf_model-00001-of-00002.h5 became two frames."""
    for i in (1, 2):
        with h5py.File(tmp_path / f"tf_model-{i:05d}-of-00002.h5", "w") as file:
            file[f"layer_{i}/kernel"] = np.full(2, i, np.float32)
    (source,) = select([tmp_path]).sources
    assert source.name == "tf_model.h5"
    state = read_source(source, read).state
    assert sorted(float(array[0]) for array in state.values()) == [1, 2]
    (tmp_path / "tf_model-00002-of-00002.h5").unlink()
    with pytest.raises(CheckpointError, match=r"2 files, of which .* is missing"):
        select([tmp_path])


def test_a_model_that_is_not_whole(tmp_path):
    folder = shards(tmp_path, 3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    for given in (folder, folder / "model-00001-of-00003.safetensors"):
        with pytest.raises(CheckpointError, match=r"3 files, of which .* is missing"):
            select([given])
    (source,) = select([folder / "model.safetensors.index.json"]).sources
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        read_source(source, read)


def test_files_that_are_only_named_as_parts(tmp_path):
    folder = shards(tmp_path, 2, index=False, names=["w", "w"])
    (source,) = select([folder]).sources
    with pytest.raises(CheckpointError, match="parts of a model, and holds 'w' as"):
        read_source(source, read)


def test_an_index_that_lies(tmp_path):
    folder = shards(tmp_path, 2)
    index = folder / "model.safetensors.index.json"
    good = json.loads(index.read_text())
    swapped = dict(zip(good["weight_map"], reversed(good["weight_map"].values()), strict=True))
    index.write_text(json.dumps({"weight_map": swapped}))
    (source,) = select([folder]).sources
    with pytest.raises(CheckpointError, match=r"says that 'w1' is in .*, where it is not"):
        read_source(source, read)
    for text, match in (
        ('{"weight_map": {"w": "../../etc/passwd"}}', "not beside it"),
        ('{"weight_map": {"w": 3}}', "not text"),
        ("{}", "not an index"),
        ("[" * 100_000, "not JSON"),
    ):
        index.write_text(text)
        with pytest.raises(CheckpointError, match=match):
            select([index])


def test_whether_one_model_follows_from_another():
    def shapes(**sides):
        return {name: ("F32", tuple(side)) for name, side in sides.items()}

    gaussians = shapes(xyz=(10, 3), opacity=(10, 1))
    assert doubt(gaussians, shapes(xyz=(12, 3), opacity=(12, 1))) == (False, "")
    assert doubt(gaussians, gaussians | shapes(new=(3,))) == (False, "")
    assert doubt(gaussians, shapes(w=(3, 3)))[0]
    assert doubt(shapes(w=(4, 3)), shapes(w=(7, 9)))[0]
    other, why = doubt(gaussians, shapes(xyz=(10, 3), a=(1,), b=(1,), c=(1,)))
    assert not other
    assert "only 1 of its 4 tensors" in why


def test_a_file_whose_name_looks_like_a_glob(run):
    (run / "a[1].pt").touch()
    assert names(expand([run / "a[1].pt"])) == ["a[1].pt"]


def test_nothing_found(run):
    (run / "empty").mkdir()
    for given, what in (
        ([run / "empty"], r"no checkpoint in this directory; looked for \.safetensors \.pt"),
        ([run / "*.txt"], "among the 1 matches of this glob"),
        ([run / "frame7.pt"], "is not a file"),
        ([], "names no files"),
    ):
        with pytest.raises(CheckpointError, match=what):
            expand(given)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_what_is_named_as_a_checkpoint_and_is_no_file(run):
    """A frame whose content was not fetched is not left out unseen; a pipe is never waited for."""
    lost = run / "frame4.pt"
    lost.symlink_to(".git/annex/objects/none")
    for given in ([run], [run / "frame*.pt"]):
        with pytest.raises(CheckpointError, match=r"leads to nothing \(\.git/annex") as caught:
            select(given)
        assert caught.value.path == str(lost) and "fetch" in caught.value.hint
    with pytest.raises(CheckpointError, match="leads to nothing"):
        select([lost])
    lost.rename(run / "last.pt")  # left out anyway: it has no number as the others have
    os.mkfifo(run / "frame5.pt")
    found = select([run])
    assert names(found.sources) == ["frame1.pt", "frame2.pt", "frame10.pt"]
    assert "frame5.pt: is a pipe, not a file" in found.notes
    with pytest.raises(CheckpointError, match="is a pipe, not a file"):
        select([run / "frame5.pt"])


@pytest.mark.parametrize(
    ("member", "words", "todo"),
    [
        ("__0_0.distcp", "torch.distributed", "dcp_to_torch"),
        ("_CHECKPOINT_METADATA", "Orbax", "savez"),
    ],
)
def test_folders_of_other_programs_are_named(tmp_path, member, words, todo):
    (tmp_path / member).write_bytes(b"x")
    with pytest.raises(CheckpointError, match=words) as caught:
        select([tmp_path])
    assert todo in caught.value.hint


def test_duplicates_are_refused(run):
    with pytest.raises(CheckpointError, match="twice"):
        expand([run, run / "frame2.pt"])
    (run / "z3.pt").symlink_to(run / "frame2.pt")
    with pytest.raises(CheckpointError, match="also as"):
        expand([run])


NAMES = ["pts.0.weight", "pts.0.bias", "pts.1.weight", "alpha.weight", "pts.1.bias", "beta"]


def test_layers_by_module():
    assert list(layers_of(NAMES).items()) == list(zip(NAMES, [0, 0, 1, 2, 1, 3], strict=True))
    keras = ["dense/dense/kernel:0", "dense/dense/bias:0", "out/vars/0"]
    assert list(layers_of(keras).values()) == [0, 0, 1]
    assert layers_of([]) == {}


def test_layers_by_rules():
    rules = parse_layers("1=pts.0, 0=pts.1.*,5 = b?ta")
    assert rules == {"pts.0": 1, "pts.1.*": 0, "b?ta": 5}
    assert list(layers_of(NAMES, rules).values()) == [1, 1, 0, -1, 0, 5]


def test_the_first_rule_that_fits_holds():
    assert layers_of(["a.b.c"], {"a.b.c": 4, "a": 1, "*": 2}) == {"a.b.c": 4}
    assert layers_of(["a.b.c", "ab"], {"a": 1, "a?": 2}) == {"a.b.c": 1, "ab": 2}


def test_rules_from_json(tmp_path):
    path = tmp_path / "layers.json"
    path.write_text(json.dumps({"pts.*": 3, "alpha": 0, "beta": 1}))
    for spec in (path, str(path)):
        assert list(layers_of(NAMES, parse_layers(spec)).values()) == [3, 3, 3, 0, 3, 1]


@pytest.mark.parametrize(
    "spec", ["", ",", "pts", "x=pts", "-1=pts", "0=", "=a", "0=a,1=a", "99999999999=a", "\u0663=a"]
)
def test_malformed_rules(spec):
    with pytest.raises(CheckpointError, match="write 0=name"):
        parse_layers(spec)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[1]", '"a"', "3", '{"a": -1}', '{"a": 1.5}', '{"a": true}', '{"a": "1"}',
     '{"a": 1, "a": 2}', '{"a": {"b": 1}}', "[" * 100_000, "\xff", "1" * 5000],
)  # fmt: skip
def test_malformed_rule_files(tmp_path, text):
    path = tmp_path / "layers.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(CheckpointError):
        parse_layers(path)


def test_rule_files_that_cannot_be_read(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        parse_layers("missing.json")
    (tmp_path / "big.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(CheckpointError, match="too many"):
        parse_layers(tmp_path / "big.json")


def test_a_rule_that_fits_nothing():
    with pytest.raises(CheckpointError, match=r"'ptss\.0' fits no parameter"):
        layers_of(NAMES, {"ptss.0": 0})


def test_paths_come_as_paths(run):
    assert all(isinstance(path, Path) for path in expand([str(run)]))
