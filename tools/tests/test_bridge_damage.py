"""Delta checkpoints of other systems that are damaged, or no chain: refused, and nothing left."""

import json
import os

import numpy as np
import pytest
import zstandard
from bridge_samples import BF16, INDEX, chain, load_file, patch_of_trl, version
from command_samples import refused
from safetensors.numpy import save_file

import nmc


@pytest.fixture
def states():
    return chain()


@pytest.fixture
def base(tmp_path, states):
    save_file(states[0], tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors"


@pytest.fixture
def package(tmp_path, states):
    with nmc.Writer(tmp_path / "p.nmc") as writer:
        for state in states:
            writer.append(state)
    return tmp_path / "p.nmc"


def edited(folder, **changes):
    path = folder / INDEX
    index = json.loads(path.read_text())
    index["metadata"] |= changes
    path.write_text(
        json.dumps({**index, "metadata": {k: v for k, v in index["metadata"].items() if v}})
    )


def bomb(size):
    return np.frombuffer(zstandard.ZstdCompressor().compress(bytes(size)), "u1")


def _swap(d, s):
    version(d, 9, s[1], s[3], base="000001")


def _bomb(d, _):
    path = d / "weight_v000001" / "model-00000-of-00001.safetensors"
    save_file({"frozen": bomb(1 << 28)}, path)
    index = json.loads((d / "weight_v000001" / INDEX).read_text())
    index["weight_map"] = {"frozen": path.name}
    (d / "weight_v000001" / INDEX).write_text(json.dumps(index))


def _cut(d, _):
    path = d / "weight_v000002" / "model-00000-of-00001.safetensors"
    path.write_bytes(path.read_bytes()[:-40])


def _outside(d, _):
    path = d / "weight_v000001" / INDEX
    path.write_text(path.read_text().replace("model-00000", "../model-00000"))


def _checksum(d, s):
    path = d / "weight_v000002" / "model-00000-of-00001.safetensors"
    tensors = load_file(path)
    save_file(tensors, path, metadata=dict.fromkeys(tensors, "00000000"))


DAMAGE = {
    "builds on version 000001, as": _swap,
    "bytes, expected 128": _bomb,
    "weight_v000002/model-00000-of-00001.safetensors": _cut,
    "which is not beside it": _outside,
    "is said": _checksum,
    "is version 000001, as weight_v000001 is": lambda d, s: edited(
        d / "weight_v000002", version="000001"
    ),
    "several bases are not in it": lambda d, s: edited(d / "weight_v000002", base_version="77"),
    "delta_encoding is 'diff'": lambda d, s: edited(d / "weight_v000002", delta_encoding="diff"),
    "compression_format is 'lz4'": lambda d, s: edited(
        d / "weight_v000002", compression_format="lz4"
    ),
    "does not say which version it builds on": lambda d, s: edited(
        d / "weight_v000002", base_version=""
    ),
    "circle": lambda d, s: edited(d / "weight_v000001", base_version="000003"),
    "is not JSON": lambda d, s: (d / "weight_v000001" / INDEX).write_text("{"),
    "not an index with metadata": lambda d, s: (d / "weight_v000001" / INDEX).write_text("[]"),
}


@pytest.mark.parametrize("words", DAMAGE)
def test_damaged_versions_are_refused(tmp_path, run, states, base, words):
    for t in (1, 2, 3):
        version(tmp_path / "d", t, states[t], states[t - 1])
    DAMAGE[words](tmp_path / "d", states)
    outcome = run("bridge", "import", tmp_path / "d", "--base", base, "-o", tmp_path / "p.nmc")
    assert words in refused(outcome, "input/unreadable")
    assert not (tmp_path / "p.nmc").exists()


def test_the_wrong_base_is_refused(tmp_path, run, states):
    version(tmp_path / "d", 1, states[1], states[0])
    save_file(states[2], tmp_path / "other.safetensors")
    outcome = run(
        "bridge", "import", tmp_path / "d", "--base", tmp_path / "other.safetensors", "-o",
        tmp_path / "p.nmc",
    )  # fmt: skip
    assert "it builds on other weights" in refused(outcome, "input/unreadable")
    outcome = run("bridge", "import", tmp_path / "d", "-o", tmp_path / "q.nmc")
    assert "--base" in refused(outcome, "input/unreadable")


@pytest.mark.parametrize(
    ("encoding", "difference"),
    [
        ("overwrite", b"\xff\xff\xff\xff"),
        ("overwrite", b""),
        ("overwrite", np.array([1, 128], "<u4").tobytes() + b"\1"),
        ("overwrite", np.array([2, 5, 5], "<u4").tobytes() + b"\1\1"),
        ("xor", bytes(127)),
        ("xor", bytes(129)),
    ],
)
def test_differences_that_do_not_fit(tmp_path, run, states, base, encoding, difference):
    folder = version(tmp_path / "d", 1, states[1], states[0], encoding)
    file = folder / "model-00000-of-00001.safetensors"
    packed = zstandard.ZstdCompressor().compress(difference)
    save_file({"frozen": np.frombuffer(packed, "u1")}, file, metadata={"frozen": "0"})
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps({**index, "weight_map": {"frozen": file.name}}))
    outcome = run("bridge", "import", tmp_path / "d", "--base", base, "-o", tmp_path / "p.nmc")
    refused(outcome, "input/unreadable")


@pytest.mark.parametrize(
    ("tensors", "changes", "words"),
    [
        ({"frozen.idx": np.array([64], "i4")}, {}, "beyond 64 elements"),
        ({"frozen.idx": np.array([-1], "i4")}, {}, "beyond 64 elements"),
        ({"frozen.idx": np.array([3, 3], "i4")}, {}, "does not ascend"),
        ({"frozen.idx": np.array([3.0], "f4")}, {}, "not int32"),
        ({"frozen.val": np.ones(3, BF16)}, {}, "one value for each place"),
        ({"frozen.val": np.ones(1, "f4")}, {}, "the tensor is BF16"),
        ({"other.idx": np.array([1], "i4"), "other.val": np.ones(1, BF16)}, {}, "not in the state"),
        ({"frozen.more": np.ones(1, BF16)}, {}, "other tensors than pairs"),
        ({}, {"encoding": "nvcomp_cascaded"}, "nvcomp_cascaded"),
        ({}, {"model_version": "one"}, "not a number"),
    ],
)
def test_damaged_patches_are_refused(tmp_path, run, base, tensors, changes, words):
    (tmp_path / "d").mkdir()
    metadata = {
        "format": "sparse_weight_patch",
        "sparse": "True",
        "model_version": "1",
        "encoding": "raw",
    } | changes
    good = {"frozen.idx": np.array([3], "i4"), "frozen.val": np.ones(1, BF16)}
    save_file(good | tensors, tmp_path / "d" / "a.safetensors", metadata=metadata)
    outcome = run("bridge", "import", tmp_path / "d", "--base", base, "-o", tmp_path / "p.nmc")
    assert words in refused(outcome, "input/unreadable")


def test_a_patch_that_lacks_is_noticed(tmp_path, run, states, base):
    (tmp_path / "d").mkdir()
    for t in (1, 3):
        patch_of_trl(tmp_path / "d" / f"s{t}.safetensors", states[t], states[t - 1], t)
    outcome = run("bridge", "import", tmp_path / "d", "--base", base, "-o", tmp_path / "p.nmc")
    assert "is version 3, and comes after version 1" in refused(outcome, "input/unreadable")


def test_what_is_no_chain(tmp_path, run, base, package):
    outcome = run("bridge", "import", base, "-o", tmp_path / "q.nmc")
    assert "is a file" in refused(outcome, "input/unreadable")
    (tmp_path / "empty").mkdir()
    outcome = run("bridge", "import", tmp_path / "empty", "-o", tmp_path / "q.nmc")
    assert "no chain" in refused(outcome, "input/unreadable")
    outcome = run("bridge", "export", package, "-o", tmp_path / "empty")
    assert "a folder that is not there" in refused(outcome, "host/exists")


def test_a_damaged_message_names_its_file(tmp_path, run, package):
    out = tmp_path / "out"
    run("bridge", "export", package, "-o", out, "--to", "messages")
    path = out / "message_000002.nmcmsg"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    outcome = run("bridge", "import", out, "-o", tmp_path / "again.nmc")
    assert "message_000002" in refused(outcome, "message/digest")


def test_the_name_of_a_version_costs_no_more_than_it_is(tmp_path, run, states, base):
    """A pattern went over its zeros anew from each: minutes for 100 kB."""
    version(tmp_path / "d", 1, states[1], states[0], name="0" * 200_000 + "x")
    done = run("bridge", "import", tmp_path / "d", "--base", base, "-o", tmp_path / "p.nmc")
    assert done.code == 0


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_messages_that_are_no_files_or_longer_than_they_say(tmp_path, run):
    folder = tmp_path / "m"
    folder.mkdir()
    os.mkfifo(folder / "a.nmcmsg")
    refused(run("bridge", "import", folder, "-o", tmp_path / "p.nmc"), "package/not-a-file")
    (folder / "a.nmcmsg").unlink()
    message = nmc.encode_delta(None, {"w": np.zeros(3)})
    (folder / "a.nmcmsg").write_bytes(message)
    os.truncate(folder / "a.nmcmsg", 1 << 40)  # a hole: it takes no room on the disk
    refused(run("bridge", "import", folder, "-o", tmp_path / "q.nmc"), "message/malformed")


@pytest.mark.parametrize("to", ["xor", "messages"])
def test_what_is_not_finished_has_another_name(tmp_path, run, package, monkeypatch, to):
    """A disk that fails leaves no half of a file under its name."""
    real = os.fsync
    calls = []

    def fails(handle):
        calls.append(handle)
        if len(calls) == 3:
            raise OSError(5, "Input/output error")
        real(handle)

    monkeypatch.setattr(os, "fsync", fails)
    assert run("bridge", "export", package, "-o", tmp_path / "out", "--to", to).code == 1
    monkeypatch.undo()
    there = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert len(there) == 2
    for path in there:
        if path.suffix == ".json":
            json.loads(path.read_bytes())
        else:
            assert path.suffix in (".nmcmsg", ".safetensors")


@pytest.mark.parametrize("command", ["unpack", "bridge"])
def test_a_full_disk_is_called_so(tmp_path, run, package, monkeypatch, command):
    """It is nothing of the input that cannot be read."""

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    words = ("unpack",) if command == "unpack" else ("bridge", "export")
    done = run(*words, package, "-o", tmp_path / "out")
    assert done.code == 1
    assert "error host/no-space at " in done.err
