"""The pseudo-code of the text is run: it decodes the vectors, and refuses what it has to refuse."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import pseudocode
import pytest
import text_decoder
from arithmetic import coder_chances, coder_words
from programs import suite
from text_decoder import RECORD, TextDecoder
from writers import stream_writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nmc_conformance.vectors import Vector

VECTORS_BY_ID = {vector.id: vector for vector in suite().vectors}
DISAGREEMENT = ("freezing/exclude-layers-disagree",)

JUDGED = {
    "profile/coding-refused",
    "profile/mode-refused",
    "segment/bins",
    "segment/bounds",
    "segment/coder",
    "segment/mode",
    "segment/mode-key-frame",
    "segment/mode-quantised",
    "segment/mode-reference",
    "segment/name-twice",
    "segment/refinement",
    "segment/shapes",
    "segment/state-bytes",
    "segment/stream-length",
    "segment/stream-surplus",
    "segment/stream-unknown",
}
"""Codes of what the pseudo-code refuses; the rest of a refusal is in sentences."""


IN_SENTENCES = {
    "12-quantised/refined-digest-none",
    "12-quantised/refined-missing",
    "12-quantised/refined-start",
    "12-quantised/refined-start-second",
}
"""Links of clause 7.2.1 whose codes the pseudo-code refuses elsewhere."""


BEYOND_THE_LIBRARY = {"05-package/hdf5-info-rest"}
"""Manifests of annex D that the HDF5 library, by which this test reads them, looks deeper into."""


ACCEPTED = [
    v.id
    for v in VECTORS_BY_ID.values()
    if v.expected.outcome == "accept" and not v.requires and not v.prepare
    if v.id not in BEYOND_THE_LIBRARY
]
REFUSED = [
    v.id
    for v in VECTORS_BY_ID.values()
    if v.expected.stage == "frame" and v.expected.codes[0] in JUDGED and not v.prepare
    # elsewhere than in chapters 8 and 12 a payload with a wrong bit can decode to another state
    if v.id.startswith(("08", "12")) or "decoding/state-digest-mismatch" not in v.expected.codes
    if v.id not in IN_SENTENCES
    if not v.id.startswith("15")  # messages, which are no package
]


def digests(vector: Vector) -> Iterator[str]:
    """Yield the digest of each state, decoded frame by frame as the text says."""
    decoder = TextDecoder(vector.input)
    state: dict[int, Any] = {}
    stops: list[dict[int, Any]] = []
    for t in range(len(decoder)):
        state = decoder.decode(t, {} if decoder.scope["coding"][t] == 0 else state)
        stops = decoder.refine(t, state, stops)
        yield decoder.digest(stops[-1] if stops else state)


@pytest.mark.sweep(12)
@pytest.mark.parametrize("name", ACCEPTED)
def test_the_text_decodes(name: str) -> None:
    vector = VECTORS_BY_ID[name]
    assert tuple(digests(vector)) == vector.expected.state_digests


@pytest.mark.sweep(8)
@pytest.mark.parametrize("name", REFUSED)
def test_the_text_refuses(name: str) -> None:
    with pytest.raises(pseudocode.Refused):
        for _ in digests(VECTORS_BY_ID[name]):
            pass


def test_there_are_vectors_of_every_kind() -> None:
    assert {name[:2] for name in ACCEPTED} == {
        *("04", "05", "06", "07", "08", "09", "10", "12", "13", "14", "16")
    }
    assert len([name for name in REFUSED if name.startswith("08")]) > 50
    assert len([name for name in REFUSED if name.startswith("12")]) > 50


def test_frames_are_sought_as_the_text_says() -> None:
    vector = VECTORS_BY_ID["08-arithmetic/variants-in-turn"]
    decoder = TextDecoder(vector.input)
    for t in (len(decoder) - 1, 0, len(decoder) - 2):
        assert decoder.digest(decoder.decode_to(t)) == vector.expected.state_digests[t]


def test_each_stop_is_that_without_the_refinements_above() -> None:
    """What is left when refinements are left out has the bits that it had with them."""
    names = [f"12-quantised/refined-{name}" for name in ("stop-0", "stop-1", "two")]
    decoder = TextDecoder(VECTORS_BY_ID[names[-1]].input)
    for t in (len(decoder) - 1, 1):
        found = [decoder.digest(state) for state in decoder.decode_stops(t)]
        assert found == [VECTORS_BY_ID[name].expected.state_digests[t] for name in names]


@pytest.mark.parametrize("subjects", [("frames", "coder", "freezing"), ("coder",)])
def test_every_name_has_a_meaning(subjects: tuple[str, ...]) -> None:
    """The coder of clause 8 stands alone; other clauses name what clause 3.2.1 and tables give."""
    given = {
        "S",
        "T",
        "has_stream",
        "state",
        "stream",
        "streams",
        "table",
        "coding",
        "codings",
        "profile_modes",
        "state_bytes",
    }
    names = {*text_decoder.ELSEWHERE, *RECORD, *given} if len(subjects) > 1 else set()
    code = "".join(map(pseudocode.code_of, subjects))
    assert pseudocode.undefined(code, **dict.fromkeys(names)) == set()


def test_a_name_without_a_meaning_is_found() -> None:
    code = pseudocode.code_of("coder").replace("closer(a, b)", "nearer(a, b)")
    assert pseudocode.undefined(code) == {"closer"}


EDITS = {
    "a width": ("tensor.w > 8 · k", "tensor.w > 16 · k", "06-segment/zstd-widths"),
    "the first way": ("history.ways else 1", "history.ways else 0", "08-arithmetic/static"),
    "a rate": (
        "<< 4) \N{MINUS SIGN} trend.slow) >> 10)",
        "<< 4) \N{MINUS SIGN} trend.slow) >> 5)",
        "08-arithmetic/adaptive",
    ),
    "a weight": (
        "<< 16) \N{MINUS SIGN} squash(b)",
        "<< 16) \N{MINUS SIGN} squash(a)",
        "08-arithmetic/mixed",
    ),
    "a guess": (
        "(1 if guess = 3 else 0)",
        "(1 if guess = 2 else 0)",
        "08-arithmetic/static-momentum",
    ),
}
"""Faults in the text, each with a vector that finds it out."""


@pytest.mark.parametrize("fault", EDITS)
def test_a_fault_in_the_text_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new, name = EDITS[fault]
    code = "".join(map(pseudocode.code_of, text_decoder.SUBJECTS))
    assert code.count(old) == 1
    wrong = compile(pseudocode.python(code.replace(old, new)), "wrong text", "exec")
    monkeypatch.setattr(text_decoder, "COMPILED", wrong)
    vector = VECTORS_BY_ID[name]
    try:
        found = tuple(digests(vector))
    except (pseudocode.Refused, AssertionError, OverflowError):
        return
    assert found != vector.expected.state_digests


# Functions of clause 8 at the edges of their ranges, where no chain of states leads

FORMATS = [(8, 5, 2), (16, 8, 7), (32, 8, 23), (64, 11, 52), (8, 0, 0), (32, 0, 0)]


@pytest.fixture(scope="module")
def coder() -> dict[str, Any]:
    return pseudocode.program("coder")


def words_of(w: int) -> list[int]:
    rng = random.Random(w)
    edges = [0, 1, 2**w - 1, 2 ** (w - 1), 2 ** (w - 1) - 1]
    return edges + [rng.getrandbits(w) for _ in range(40)]


@pytest.mark.parametrize("form", FORMATS, ids=str)
def test_words_and_changes(form: tuple[int, int, int], coder: dict[str, Any]) -> None:
    w, e, m = form
    p = coder_words.CodedTensor(0, w, e, m, (), (), ())
    coder["use"](p)
    for x, z in itertools.product(words_of(w), repeat=2):
        found = (coder["sign"](x), coder["magnitude"](x), coder["exponent"](x))
        assert found == (p.sign(x), p.magnitude(x), p.exponent(x))
        change = coder_words.compare(p, x, z)
        kind, d = coder["change"](x, z)
        assert (kind == "equal", kind == "flip") == (change.equal, change.flip)
        assert coder["entry_of"](x, z) == change.entry
        if kind == "flip":
            assert coder["flipped"](x, coder["magnitude"](z)) == z
        elif kind != "equal":
            assert (d, kind == "shrink") == (change.d, bool(change.shrunk))
            assert coder["moved"](x, d, change.shrunk) == z


def test_entries(coder: dict[str, Any]) -> None:
    for h in range(200):
        coder["recall"](h)
        wanted = coder_words.past_of(h)
        found = coder["past"], coder["previous"], coder["heading"]
        assert found == (wanted.past, wanted.previous, wanted.heading)


class Towards:
    """Answers the decisions of clause 8.5.6 as an encoder does that has the number."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.asked = wanted, set[int]()

    def __call__(self, step: int, node: int, coarse: int, is_length: int) -> int:
        v = node - {6: 2, 9: 67, 12: 131}[coarse]
        self.asked.add(step)
        return int(self.wanted < v if coarse == 12 else self.wanted > v)


def test_numbers() -> None:
    coder = pseudocode.program("coder")
    for centre, wanted in itertools.product(range(3, 30), repeat=2):
        decide = coder["decide_step"] = Towards(wanted)
        assert coder["decode_number"](centre, 3, 29, range(16), 1) == wanted
        assert decide.asked <= {*range(16)}


def test_logarithms(coder: dict[str, Any]) -> None:
    for a in [*range(1, 300), *range(300, 65536, 997), 65535]:
        assert coder["lg"](a) == coder_chances.lg(a)
    for a in range(4096):
        assert coder["stretch"](a) == coder_chances.stretch(a)
    for a in range(-4095, 4096, 63):
        assert coder["squash"](a) == coder_chances.squash(a)


def test_the_logarithm_of_odds_never_falls(coder: dict[str, Any]) -> None:
    """The note of clause 8.5.8, which finding ``squash`` by halves relies on."""
    odds = [coder["lg"](q) - coder["lg"](65536 - q) for q in range(1, 65536)]
    assert all(a <= b for a, b in itertools.pairwise(odds))


@pytest.mark.parametrize(("dtype", "e"), [("F32", 8), ("BF16", 8), ("I16", 0), ("U64", 0)])
def test_folding(dtype: str, e: int) -> None:
    width = {"F32": 4, "BF16": 2, "I16": 2, "U64": 8}[dtype]
    values = words_of(8 * width)
    data = b"".join(x.to_bytes(width, "little") for x in values)
    frames = pseudocode.program("frames")
    for stream in ("raw", "integer"):
        fold, back = frames[f"fold_{stream}"], frames[f"unfold_{stream}"]
        mine = [fold(x, 8 * width, e) for x in values]
        assert b"".join(f.to_bytes(width, "little") for f in mine) == stream_writer.folded(
            stream, dtype, data
        )
        assert [back(f, 8 * width, e) for f in mine] == values


# Clause 9


FROZEN = [n for n, v in VECTORS_BY_ID.items() if "freezing/frozen-changed" in v.expected.codes]
DISAGREE = [n for n, v in VECTORS_BY_ID.items() if v.expected.codes[:1] == DISAGREEMENT]


def changed(decoder: TextDecoder) -> list[str]:
    """Return what the rule of clause 9.2.2 finds in all frames."""
    decoder.scope["errors"] = []
    for t in range(1, len(decoder)):
        decoder.scope["check_frozen"](t)
    found: list[str] = decoder.scope["errors"]
    return found


def disagree(decoder: TextDecoder) -> list[int]:
    """Return the frames in which the list is not that of clause 9.3.2."""
    scope = decoder.scope
    return [
        t
        for t in range(len(decoder))
        if scope["requires_grad_known"][t] == 1
        and scope["exclude_layers_count"][t] >= 0
        and scope["list"](t) != scope["listed"](t)
    ]


def recorded(name: str) -> bool:
    return all(TextDecoder(VECTORS_BY_ID[name].input).scope[c] is not None for c in RECORD)


@pytest.mark.parametrize("name", FROZEN)
def test_what_was_frozen_and_changed_is_found(name: str) -> None:
    assert set(changed(TextDecoder(VECTORS_BY_ID[name].input))) == {"freezing/frozen-changed"}


@pytest.mark.parametrize("name", DISAGREE)
def test_bits_and_lists_that_disagree_are_found(name: str) -> None:
    assert disagree(TextDecoder(VECTORS_BY_ID[name].input)) != []


@pytest.mark.parametrize(
    "name", [n for n in ACCEPTED if n.startswith(("05-package/worked", "09")) and recorded(n)]
)
def test_what_conforms_keeps_the_rules_of_freezing(name: str) -> None:
    decoder = TextDecoder(VECTORS_BY_ID[name].input)
    assert changed(decoder) == []
    assert disagree(decoder) == []


def test_bits_made_of_a_list_give_the_list_again() -> None:
    decoder = TextDecoder(VECTORS_BY_ID["05-package/worked-example"].input)
    for layers in ([], [0], [1], [0, 1]):
        bits = decoder.scope["bits_of"](layers, 1)
        decoder.scope["bit"] = lambda t, i, bits=bits: bits.get(i, 0)
        assert decoder.scope["listed"](1) == layers
