"""Delta checkpoints of other systems, made here by their layouts: read, written and refused."""

import json
import zlib

import ml_dtypes
import numpy as np
import pytest
import zstandard
from command_samples import refused
from safetensors import deserialize, safe_open
from safetensors.numpy import save_file

import nmc

INDEX = "model.safetensors.index.json"
BF16 = ml_dtypes.bfloat16


TYPES = {"BF16": BF16, "F32": "f4", "F64": "f8", "C64": "c8", "U8": "u1"}
TYPES |= {"I32": "i4", "U16": "u2", "U32": "u4"}


def load_file(path):
    """All tensors of a file, bfloat16 too."""
    return {
        name: np.frombuffer(entry["data"], TYPES[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in deserialize(path.read_bytes())
    }


def chain(frames=4, share=0.03):
    rng = np.random.default_rng(0)
    state = {
        "embed.weight": rng.normal(size=(64, 32)).astype(BF16),
        "layer.0.weight": rng.normal(size=(32, 32)).astype(BF16),
        "layer.0.scale": rng.normal(size=32).astype("f4"),
        "frozen": rng.normal(size=(8, 8)).astype(BF16),
        "scalar": np.array(0.5, "f4"),
    }
    states = []
    for _ in range(frames):
        states.append(state)
        state = dict(state)
        for name in ("embed.weight", "layer.0.weight", "layer.0.scale"):
            words = state[name].reshape(-1).view(f"u{state[name].itemsize}").copy()
            some = rng.random(words.size) < share
            some[-1] = True
            words[some] += rng.integers(1, 3, int(some.sum())).astype(words.dtype)
            state[name] = words.view(state[name].dtype).reshape(state[name].shape)
    return states


def same(a, b):
    return a.keys() == b.keys() and all(
        a[n].dtype == b[n].dtype and a[n].shape == b[n].shape and a[n].tobytes() == b[n].tobytes()
        for n in a
    )


def flat(array):
    return np.ascontiguousarray(array).reshape(-1).view("u1")


def version(folder, number, new, old, encoding="xor", *, base=None, name=None):
    """One version as miles publishes it (UpdateWeightFromDiskDelta), with adler32."""
    folder = folder / f"weight_v{number:06d}"
    folder.mkdir(parents=True)
    delta, sums = {}, {}
    for key in new:
        a, b = flat(new[key]), flat(old[key])
        if (a == b).all():
            continue
        diff = a ^ b
        if encoding == "overwrite":
            at = np.flatnonzero(a != b).astype("<u4")
            diff = np.concatenate([np.array([at.size], "<u4").view("u1"), at.view("u1"), a[at]])
        packed = zstandard.ZstdCompressor(level=1).compress(diff.tobytes())
        delta[key] = np.frombuffer(packed, "u1")
        sums[key] = f"{zlib.adler32(a.tobytes()):08x}"
    file = "model-00000-of-00001.safetensors"
    save_file(delta, folder / file, metadata=sums)
    metadata = {
        "version": name or f"{number:06d}",
        "base_version": base or f"{number - 1:06d}",
        "delta_encoding": encoding,
        "compression_format": "zstd",
        "checksum_format": "adler32",
    }
    index = {"metadata": metadata, "weight_map": dict.fromkeys(delta, file)}
    (folder / INDEX).write_text(json.dumps(index))
    return folder


@pytest.fixture
def states():
    return chain()


@pytest.fixture
def base(tmp_path, states):
    save_file(states[0], tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors"


def held(path):
    with nmc.open(path) as sequence:
        return [dict(sequence[t]) for t in range(len(sequence))]


@pytest.mark.parametrize("encoding", ["xor", "overwrite"])
def test_versions_of_miles_come_in(tmp_path, run, states, base, encoding):
    for t in (3, 1, 2):
        version(tmp_path / "d", t, states[t], states[t - 1], encoding)
    outcome = run("bridge", "import", tmp_path / "d", "--base", base, "-o", tmp_path / "p.nmc")
    assert outcome.code == 0, outcome
    assert "4 frames" in outcome.out
    assert all(same(a, b) for a, b in zip(held(tmp_path / "p.nmc"), states, strict=True))


def test_versions_of_modelexpress_have_names(tmp_path, run, states, base):
    names = {1: "v1", 2: "v2", 3: "v10"}
    for t in (1, 2, 3):
        before = names.get(t - 1, "v0")
        version(tmp_path / "d", t, states[t], states[t - 1], base=before, name=names[t])
    run("bridge", "import", tmp_path / "d", "--base", base, "-o", tmp_path / "p.nmc")
    assert all(same(a, b) for a, b in zip(held(tmp_path / "p.nmc"), states, strict=True))


def test_one_version_alone(tmp_path, run, states, base):
    folder = version(tmp_path / "d", 1, states[1], states[0])
    assert run("bridge", "import", folder, "--base", base, "-o", tmp_path / "p.nmc").code == 0
    assert all(same(a, b) for a, b in zip(held(tmp_path / "p.nmc"), states[:2], strict=True))


def test_a_base_in_parts(tmp_path, run, states):
    (tmp_path / "base").mkdir()
    names = list(states[0])
    for k, part in enumerate((names[:2], names[2:]), 1):
        file = tmp_path / "base" / f"model-{k:05d}-of-00002.safetensors"
        save_file({name: states[0][name] for name in part}, file, metadata={"format": "pt"})
    (tmp_path / "base" / "config.json").write_text("{}")
    version(tmp_path / "d", 1, states[1], states[0])
    arguments = ("--base", tmp_path / "base", "-o", tmp_path / "p.nmc")
    assert run("bridge", "import", tmp_path / "d", *arguments).code == 0
    assert all(same(a, b) for a, b in zip(held(tmp_path / "p.nmc"), states[:2], strict=True))


def test_a_whole_checkpoint_among_the_versions(tmp_path, run, states, base):
    version(tmp_path / "d", 1, states[1], states[0])
    whole = tmp_path / "d" / "weight_v000002"
    whole.mkdir()
    save_file(states[2], whole / "model-00001-of-00001.safetensors")
    index = {
        "metadata": {"total_size": 1},
        "weight_map": dict.fromkeys(states[2], "model-00001-of-00001.safetensors"),
    }
    (whole / INDEX).write_text(json.dumps(index))
    version(tmp_path / "d", 3, states[3], states[2])
    run("bridge", "import", tmp_path / "d", "--base", base, "-o", tmp_path / "p.nmc")
    assert all(same(a, b) for a, b in zip(held(tmp_path / "p.nmc"), states, strict=True))


@pytest.fixture
def package(tmp_path, states):
    with nmc.Writer(tmp_path / "p.nmc") as writer:
        for state in states:
            writer.append(state)
    return tmp_path / "p.nmc"


def decoded_by_hand(folder, before):
    """A version applied as SGLang does it, by the layout alone."""
    index = json.loads((folder / INDEX).read_text())
    state = dict(before)
    for name, file in index["weight_map"].items():
        data = load_file(folder / file)[name]
        if "delta_encoding" not in index["metadata"]:
            state[name] = data
            continue
        diff = np.frombuffer(zstandard.ZstdDecompressor().decompress(data.tobytes()), "u1")
        new = flat(before[name]).copy()
        if index["metadata"]["delta_encoding"] == "xor":
            new ^= diff
        else:
            count = diff[:4].view("<u4")[0]
            new[diff[4 : 4 + 4 * count].view("<u4")] = diff[4 + 4 * count :]
        with safe_open(folder / file, framework="numpy") as opened:
            assert opened.metadata()[name] == f"{zlib.adler32(new.tobytes()):08x}"
        state[name] = new.view(before[name].dtype).reshape(before[name].shape)
    return state


@pytest.mark.parametrize("encoding", ["xor", "overwrite"])
def test_versions_go_out_and_back(tmp_path, run, states, package, encoding):
    out = tmp_path / "out"
    outcome = run("bridge", "export", package, "-o", out, "--to", encoding, "--checksum", "adler32")
    assert outcome.code == 0, outcome
    assert "4 versions" in outcome.out
    assert "read back and right" in outcome.out
    state = {}
    for t, folder in enumerate(sorted(out.iterdir())):
        state = decoded_by_hand(folder, state)
        assert same(state, states[t])
    run("bridge", "import", out, "-o", tmp_path / "again.nmc")
    assert all(same(a, b) for a, b in zip(held(tmp_path / "again.nmc"), states, strict=True))


def patch_of_trl(path, new, old, number, encoding="gap_delta"):
    """A patch as encode_patch of TRL makes it."""
    tensors = {}
    for name in new:
        a, b = (x[name].reshape(-1) for x in (new, old))
        idx = np.flatnonzero(a.view(f"u{a.itemsize}") != b.view(f"u{b.itemsize}"))
        if not idx.size:
            continue
        tensors[f"{name}.val"] = a[idx]
        gaps = np.diff(idx, prepend=-1) - 1
        tensors[f"{name}.idx"] = (
            idx.astype("i4")
            if encoding == "raw"
            else gaps.astype("u2" if gaps.max() <= 0xFFFF else "u4")
        )
    metadata = {
        "format": "sparse_weight_patch",
        "version": "1",
        "sparse": "True",
        "model_version": str(number),
        "encoding": encoding,
    }
    save_file(tensors, path, metadata=metadata)


@pytest.mark.parametrize("encoding", ["gap_delta", "raw"])
def test_patches_of_trl_come_in(tmp_path, run, states, base, encoding):
    (tmp_path / "d").mkdir()
    for t in (1, 2, 3):
        patch_of_trl(tmp_path / "d" / f"s{t}.safetensors", states[t], states[t - 1], t, encoding)
    outcome = run("bridge", "import", tmp_path / "d", "--base", base, "-o", tmp_path / "p.nmc")
    assert outcome.code == 0, outcome
    assert all(same(a, b) for a, b in zip(held(tmp_path / "p.nmc"), states, strict=True))


@pytest.mark.parametrize("places", ["gap_delta", "raw"])
def test_patches_go_out_and_back(tmp_path, run, states, package, places):
    out = tmp_path / "out"
    outcome = run("bridge", "export", package, "-o", out, "--to", "trl", "--places", places)
    assert outcome.code == 0, outcome
    names = sorted(path.name for path in out.iterdir())
    assert names[0] == "anchor_000000.safetensors"
    assert names[1:] == [f"patch_{t:06d}.safetensors" for t in (1, 2, 3)]
    patch = load_file(out / names[1])
    idx = patch["embed.weight.idx"].astype("i8")
    idx = idx if places == "raw" else np.cumsum(idx + 1) - 1
    by_hand = states[0]["embed.weight"].reshape(-1).copy()
    by_hand[idx] = patch["embed.weight.val"]
    assert by_hand.tobytes() == states[1]["embed.weight"].tobytes()
    run("bridge", "import", out, "-o", tmp_path / "again.nmc")
    assert all(same(a, b) for a, b in zip(held(tmp_path / "again.nmc"), states, strict=True))


def test_a_gap_wider_than_16_bits(tmp_path, run):
    a = {"w": np.zeros(100_000, BF16)}
    b = {"w": a["w"].copy()}
    b["w"][99_999] = 1
    with nmc.Writer(tmp_path / "p.nmc") as writer:
        writer.append(a)
        writer.append(b)
    run("bridge", "export", tmp_path / "p.nmc", "-o", tmp_path / "out", "--to", "trl")
    patch = load_file(tmp_path / "out" / "patch_000001.safetensors")
    assert patch["w.idx"].dtype == np.uint32
    assert patch["w.idx"].tolist() == [99_999]


def test_messages_go_out_and_back(tmp_path, run, states, package):
    out = tmp_path / "out"
    assert run("bridge", "export", package, "-o", out, "--to", "messages").code == 0
    held_state = None
    for t, path in enumerate(sorted(out.iterdir())):
        held_state = nmc.apply(held_state, path.read_bytes())
        assert same(held_state, states[t])
    run("bridge", "import", out, "-o", tmp_path / "again.nmc")
    assert all(same(a, b) for a, b in zip(held(tmp_path / "again.nmc"), states, strict=True))
    (out / "message_000000.nmcmsg").unlink()
    save_file(states[0], tmp_path / "b.safetensors")
    made = tmp_path / "more.nmc"
    run("bridge", "import", out, "--base", tmp_path / "b.safetensors", "-o", made)
    assert all(same(a, b) for a, b in zip(held(made), states, strict=True))


@pytest.mark.parametrize("to", ["xor", "overwrite", "trl", "messages"])
def test_tensors_that_come_and_go(tmp_path, run, to):
    states = [
        {"a": np.arange(6, dtype="f4"), "c": np.array([1 + 2j], "c8")},
        {"a": np.arange(6, dtype="f4"), "c": np.array([1 + 3j], "c8")},
        {"a": np.arange(8, dtype="f4"), "b": np.ones(3, "f8")},
        {"a": np.arange(8, dtype="f4"), "b": np.ones(3, "f8")},
    ]
    with nmc.Writer(tmp_path / "p.nmc") as writer:
        for state in states:
            writer.append(state)
    outcome = run("bridge", "export", tmp_path / "p.nmc", "-o", tmp_path / "out", "--to", to)
    assert outcome.code == 0, outcome
    run("bridge", "import", tmp_path / "out", "-o", tmp_path / "again.nmc")
    assert all(same(a, b) for a, b in zip(held(tmp_path / "again.nmc"), states, strict=True))


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
    "no index with metadata": lambda d, s: (d / "weight_v000001" / INDEX).write_text("[]"),
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


def test_an_import_goes_on_where_it_stopped(tmp_path, run, states, base):
    for t in (1, 2, 3):
        version(tmp_path / "d", t, states[t], states[t - 1])
    path = tmp_path / "d" / "weight_v000003" / "model-00000-of-00001.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    arguments = ("bridge", "import", tmp_path / "d", "--base", base, "-o", tmp_path / "p.nmc")
    refused(run(*arguments), "input/unreadable")
    path.write_bytes(whole)
    refused(run(*arguments), "package/unfinished")
    assert run(*arguments, "--resume").code == 0
    assert all(same(a, b) for a, b in zip(held(tmp_path / "p.nmc"), states, strict=True))


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
