"""Delta checkpoints of other systems, made here by their layouts: read and written."""

import json
import zlib

import numpy as np
import pytest
import zstandard
from bridge_samples import BF16, INDEX, chain, flat, held, load_file, patch_of_trl, same, version
from command_samples import refused
from safetensors import safe_open
from safetensors.numpy import save_file

import nmc


@pytest.fixture
def states():
    return chain()


@pytest.fixture
def base(tmp_path, states):
    save_file(states[0], tmp_path / "base.safetensors")
    return tmp_path / "base.safetensors"


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
