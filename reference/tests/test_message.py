"""Messages: exact, bound to the state they build on, and refused where anything is wrong."""

import re
import threading
from itertools import pairwise
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st
from nmc_samples import chain, same_state

import nmc
from nmc_format import message as syntax
from nmc_format.dtypes import PackedArray

CHAPTER = Path(__file__).parents[2] / "spec" / "text" / "15-messages.md"


SMALL = {"w": np.array([5, 7], "u1"), "z": np.zeros(192, "u1")}


CHANGED = SMALL | {"w": np.array([5, 8], "u1")}


OPTIONS = [
    {},
    {"effort": "strong"},
    {"effort": "max"},
    {"entropy": "zstd"},
    {"entropy": "none"},
    {"profile": "baseline"},
]


def code(before, message, **options):
    with pytest.raises(nmc.FormatError) as caught:
        nmc.apply(before, message, **options)
    return caught.value.finding.code


def resealed(data):
    """A message whose digest is made right again, as an attacker would."""
    return data[:-32] + blake3(data[:-32]).digest()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_chain_of_messages(options):
    states = chain(5)
    held = nmc.apply(None, nmc.encode_delta(None, states[0], **options))
    assert same_state(held, states[0])
    for before, state in pairwise(states):
        message = nmc.encode_delta(before, state, **options)
        held = nmc.apply(held, message)
        assert same_state(held, state)


def test_a_delta_is_small_and_has_no_rows():
    a, b = chain(2)
    key, delta = nmc.encode_delta(None, b), nmc.encode_delta(a, b)
    assert len(delta) < 0.8 * len(key)
    assert syntax.parse(delta, 3).rows == ()
    assert len(syntax.parse(key, 3).rows) == len(b)


def test_what_did_not_change_is_the_very_tensor():
    a, b = chain(2)
    after = nmc.apply(a, nmc.encode_delta(a, b))
    assert after["frozen"] is a["frozen"]
    assert not after["body.weight"].flags.writeable


def test_the_order_of_names_does_not_matter():
    a, b = chain(2)
    turned = dict(reversed(a.items()))
    assert same_state(nmc.apply(turned, nmc.encode_delta(a, b)), b)


def test_tensors_come_go_and_change_their_type_and_shape():
    a = {
        "가중치": np.arange(600, dtype="f4"),
        "b": np.ones((30, 10), "f4"),
        "gone": np.ones(9),
        "f4": PackedArray("F4", (4,), np.arange(2, dtype="u1")),
    }
    b = {
        "new": np.float32(3.5),
        "b": np.ones((31, 10), "f4"),
        "가중치": np.arange(600, dtype="f4").astype(ml_dtypes.bfloat16),
        "f4": PackedArray("F4", (4,), np.arange(1, 3, dtype="u1")),
    }
    for before, state in ((a, b), (b, a)):
        after = nmc.apply(before, nmc.encode_delta(before, state))
        assert after.keys() == state.keys()
        assert after["f4"].data.tolist() == state["f4"].data.tolist()
        assert all(after[k].tobytes() == np.asarray(state[k]).tobytes() for k in state if k != "f4")


def test_nothing_and_the_same_again():
    assert nmc.apply(None, nmc.encode_delta(None, {})) == {}
    a = chain(1)[0]
    message = nmc.encode_delta(a, a)
    assert len(message) < 600
    assert same_state(nmc.apply(a, message), a)
    assert nmc.apply(a, nmc.encode_delta(a, {})) == {}


def test_every_bit_of_floats():
    words = np.arange(0, 2**16, dtype="u2")
    a = {"w": words.view(ml_dtypes.bfloat16)}
    b = {"w": (words ^ np.uint16(1)).view(ml_dtypes.bfloat16)}
    after = nmc.apply(a, nmc.encode_delta(a, b))
    assert after["w"].tobytes() == b["w"].tobytes()


def test_the_wrong_base_is_refused_and_says_so():
    a, b, c = chain(3)
    message = nmc.encode_delta(b, c)
    copy = {name: array.copy() for name, array in a.items()}
    assert code(a, message) == "decoding/parent-digest-mismatch"
    assert code(None, message) == "decoding/parent-digest-mismatch"
    assert code({}, message) == "decoding/parent-digest-mismatch"
    assert same_state(a, copy)
    one_bit = {**b, "table": b["table"] ^ np.eye(1, 64, 3, dtype="u1")[0]}
    assert code(one_bit, message) == "decoding/parent-digest-mismatch"
    renamed = {name.replace("head", "tail"): array for name, array in b.items()}
    assert code(renamed, message) == "decoding/parent-digest-mismatch"


def test_a_key_message_needs_no_base_and_takes_any():
    a, b = chain(2)
    assert same_state(nmc.apply(a, nmc.encode_delta(None, b)), b)


@pytest.mark.parametrize("before", [None, SMALL], ids=["key", "delta"])
def test_every_flipped_bit_is_refused(before):
    message = nmc.encode_delta(before, CHANGED, profile="baseline")
    for bit in range(8 * len(message)):
        damaged = bytearray(message)
        damaged[bit // 8] ^= 1 << bit % 8
        assert code(before, bytes(damaged)).split("/")[0] == "message"


@pytest.mark.sweep(2)
@pytest.mark.parametrize("before", [None, SMALL], ids=["key", "delta"])
def test_every_flipped_bit_with_a_right_digest_makes_no_other_state(before):
    message = nmc.encode_delta(before, CHANGED, profile="baseline")
    for bit in range(8 * (len(message) - 32)):
        damaged = bytearray(message)
        damaged[bit // 8] ^= 1 << bit % 8
        assert code(before, resealed(bytes(damaged)))


def test_every_cut_is_refused():
    message = nmc.encode_delta(SMALL, CHANGED)
    for size in range(len(message)):
        assert code(SMALL, message[:size]) == "message/malformed"
    assert code(SMALL, message + b"\0") == "message/malformed"


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_damage_makes_no_other_state(data):
    a, b = chain(2)
    message = nmc.encode_delta(a, b, effort=data.draw(st.sampled_from(["fast", "strong"])))
    at = data.draw(st.integers(0, len(message) - 33))
    size = data.draw(st.integers(1, 40))
    new = data.draw(st.binary(max_size=size))
    damaged = message[:at] + new + message[at + size :]
    damaged = damaged[:8] + len(damaged).to_bytes(8, "little") + damaged[16:]
    try:
        after = nmc.apply(a, resealed(damaged))
    except nmc.FormatError:
        return
    assert same_state(after, b)


def test_numbers_that_promise_too_much():
    message = bytearray(nmc.encode_delta(None, SMALL))
    for at, value, wanted in (
        (16, 1 << 40, "profile/level-exceeded"),
        (24, 0xFFFFFFFF, "profile/level-exceeded"),
        (28, 0xFFFFFFFF, "message/malformed"),
        (24, 3, "message/malformed"),
        (24, 1, "message/malformed"),
    ):
        forged = bytearray(message)
        size = 8 if at == 16 else 4
        forged[at : at + size] = value.to_bytes(size, "little")
        assert code(None, resealed(bytes(forged))) == wanted, (at, value)


def row(name=b"w", dtype=b"U8", rank=1, shape=(2,)):
    sizes = (len(name).to_bytes(4, "little"), len(dtype).to_bytes(4, "little"))
    dimensions = b"".join(d.to_bytes(8, "little") for d in shape)
    return sizes[0] + name + sizes[1] + dtype + rank.to_bytes(4, "little") + dimensions


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([row(b"\xff")], "message/malformed"),
        ([row(dtype=b"U9")], "manifest/tensor-dtype"),
        ([row(rank=33, shape=(1,) * 33)], "message/malformed"),
        ([row(rank=5)], "message/malformed"),
        ([row(shape=(1 << 60,))], "manifest/tensor-shape"),
        ([row(dtype=b"F4", shape=(1,))], "manifest/tensor-shape"),
        ([row(b"__metadata__")], "manifest/tensor-name"),
        ([row(b"a\0")], "manifest/tensor-name"),
        ([row(), row()], "manifest/tensor-duplicate"),
        ([row(), row(dtype=b"I8")], "segment/name-twice"),
        ([row(shape=(1 << 33,))], "segment/state-bytes"),
    ],
    ids=range(11),
)
def test_rows_that_no_table_has(rows, wanted):
    table = b"".join(rows)
    segment = bytes(syntax.parse(nmc.encode_delta(None, {"w": SMALL["w"]}), 3).segment)
    if len(rows) == 2:
        segment = segment.replace(
            b'"shape":[1],"data_offsets":[0,1]', b'"shape":[2],"data_offsets":[0,2]'
        )
        segment = segment.replace(b"[1,3]", b"[2,4]").replace(b"\x02\x05\x07", b"\x02\x02\x05\x07")
    body = table + bytes(-(32 + len(table)) % 64) + segment
    head = (
        syntax.MAGIC
        + (len(body) + 64).to_bytes(8, "little")
        + (2).to_bytes(8, "little")
        + len(rows).to_bytes(4, "little")
        + len(table).to_bytes(4, "little")
    )
    assert code(None, resealed(head + body + bytes(32))) == wanted


def test_the_level_bounds_what_is_taken():
    states = {f"t{i}": np.zeros(1, "u1") for i in range(1100)}
    message = nmc.encode_delta(None, states)
    assert code(None, message, max_level=1) == "profile/level-exceeded"
    assert len(nmc.apply(None, message)) == 1100
    # a delta adds its rows to those that are there
    more = nmc.encode_delta(dict(list(states.items())[:1000]), states)
    assert code(dict(list(states.items())[:1000]), more, max_level=1) == "profile/level-exceeded"


def test_a_lossy_or_refined_segment_is_no_message(tmp_path):
    states = [{"w": np.linspace(0, 1, 4096, dtype="f4") + np.float32(t)} for t in range(1)]
    with nmc.Writer(tmp_path / "q", directory=True, quantisation=nmc.Quantisation(0.01)) as writer:
        writer.append(states[0])
    segment = (tmp_path / "q" / "segments" / "00000000.safetensors").read_bytes()
    rows = syntax.parse(nmc.encode_delta(None, states[0]), 3).rows
    assert code(None, syntax.serialize(4 * 4096, rows, [segment])) == "profile/mode-refused"


def test_options_are_checked():
    for options in (
        {"profile": "lossy"},
        {"profile": "baseline", "entropy": "nmc"},
        {"entropy": "gzip"},
        {"effort": "brave"},
    ):
        with pytest.raises(ValueError, match="may be"):
            nmc.encode_delta(None, SMALL, **options)
    with pytest.raises(ValueError, match="key_every"):
        nmc.Sender(key_every=-1)


def test_what_is_no_state_is_refused_in_words():
    with pytest.raises(nmc.FormatError, match="mapping of names"):
        nmc.encode_delta(None, [1, 2])
    with pytest.raises(nmc.FormatError, match="cannot be stored"):
        nmc.encode_delta({"a": np.array(["x"])}, {})
    assert code(None, b"") == "message/malformed"
    assert code(None, b"PK\3\4" + bytes(100)) == "message/malformed"


def test_a_message_that_is_changed_later_changes_no_state():
    message = bytearray(nmc.encode_delta(None, SMALL, profile="baseline"))
    state = nmc.apply(None, message)
    message[:] = bytes(len(message))
    assert state["w"].tolist() == [5, 7]


def test_messages_are_the_same_from_many_threads():
    a, b = chain(2)
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(nmc.encode_delta(a, b))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert len(made) == 8


def test_torch_in_torch_out():
    torch = pytest.importorskip("torch")
    a = {
        "w": torch.linspace(-1, 1, 4096).to(torch.bfloat16).reshape(64, 64),
        "b": torch.arange(5),
        "scalar": torch.tensor(True),
    }
    b = {**a, "w": a["w"].clone()}
    b["w"][3] += 0.01
    held = {name: t.clone() for name, t in a.items()}
    after = nmc.apply(held, nmc.encode_delta(a, b))
    assert all(isinstance(t, torch.Tensor) and t.dtype == b[n].dtype for n, t in after.items())
    assert all(torch.equal(t, b[name]) for name, t in after.items())
    assert after["b"] is held["b"]
    after["w"][0] = 0  # theirs to change
    numbers = nmc.apply(None, nmc.encode_delta(None, b))
    assert isinstance(numbers["w"], np.ndarray)
    parameters = {"w": torch.nn.Parameter(torch.ones(100))}
    moved = {"w": torch.nn.Parameter(torch.ones(100) * 2)}
    made = nmc.apply(parameters, nmc.encode_delta(parameters, moved))
    assert torch.equal(made["w"], moved["w"].detach())


def hexadecimal(block):
    data = bytearray()
    for line in block.splitlines():
        if line == "*":
            last = bytes(data[-16:])
            continue
        at, _, rest = line.partition("  ")
        while len(data) < int(at, 16):
            data += last
        data += bytes.fromhex(rest.partition("  ")[0])
    return bytes(data)


def test_the_example_of_the_text():
    key, delta = map(
        hexadecimal, re.findall(r"^```\n(.*?)\n```$", CHAPTER.read_text(), re.MULTILINE | re.DOTALL)
    )
    assert key == nmc.encode_delta(None, SMALL, profile="baseline")
    assert delta == nmc.encode_delta(SMALL, CHANGED, profile="baseline")
    assert same_state(nmc.apply(nmc.apply(None, key), delta), CHANGED)


def test_other_orders_of_memory_are_the_same_state():
    a = {"w": np.arange(600, dtype="f4").reshape(20, 30), "s": np.array(3, "i8")}
    b = {"w": a["w"] + 1, "s": np.array(4, "i8")}
    message = nmc.encode_delta(a, b)
    odd = {"w": np.asfortranarray(a["w"]), "s": a["s"].astype(">i8")}
    assert same_state(nmc.apply(odd, message), b)
    assert (
        nmc.encode_delta(odd, {"w": np.asfortranarray(b["w"]), "s": b["s"].astype(">i8")})
        == message
    )
    wide = np.zeros((20, 60), "f4")
    wide[:, ::2] = a["w"]
    assert nmc.encode_delta({"w": wide[:, ::2], "s": a["s"]}, b) == message


def test_a_message_comes_as_any_bytes():
    message = nmc.encode_delta(None, SMALL)
    for data in (bytearray(message), memoryview(message), np.frombuffer(message, "u1")):
        assert same_state(nmc.apply(None, data), SMALL)
    for wrong in (5, "text", None):
        with pytest.raises(TypeError):
            nmc.apply(None, wrong)


def test_length_is_known_from_the_first_bytes():
    message = nmc.encode_delta(None, SMALL)
    assert syntax.length_of(message[:16]) == len(message)


def test_the_first_message_may_build_on_the_state_without_tensors() -> None:
    """Clause 15.2: a receiver has that one before its first message, and no other."""
    vectors = Path(__file__).parents[2] / "conformance" / "vectors" / "15-messages"
    first = (vectors / "first" / "package.nmc" / "message_00000000").read_bytes()
    assert sorted(nmc.apply({}, first)) == sorted(nmc.apply(None, first)) == ["a", "b"]
    other = (vectors / "parent-nothing" / "package.nmc" / "message_00000000").read_bytes()
    with pytest.raises(nmc.FormatError, match="parent-digest-mismatch"):
        nmc.apply(None, other)
