"""One word, one meaning: where the terms of clause 3.1 are introduced, and where they are used.

A term is introduced in italics. So what is in italics in a normative part is a term of clause 3.1
or a variable of one letter. A heading is made of terms and of plain words. A term of clause 3.1 is
used. Words that once had several meanings are not used where a term of its own says it.
"""

from __future__ import annotations

import re

import prose
import pytest

from nmc_spec import anchors, annex, issues

PAGES = {path.name: path.read_text(encoding="utf-8") for path in annex.TEXT.glob("*.md")}
NORMATIVE = {n: p for n, p in PAGES.items() if n[:2] in {f"{k:02}" for k in range(4, 17)}}
NORMATIVE["annex-d"] = PAGES["annex-d-compact-hdf5.md"]
TERMS = [term for term, _ in prose.table("spec/text/03-terms.md", "| Term | Meaning |")]

_VARIABLE = re.compile(r"[A-Za-z]([\N{MINUS SIGN}+]1)?")
_ITALICS = re.compile(r"(?<![\w*])\*([^*\n|]+?)\*(?![\w*])")
KEYWORDS = {"shall", "shall not", "should", "may", "refuses"}

PLAIN = """
1 2 5-1 a adaptive agreement alignment and arithmetic attributes b blake3 body by cameras checking
checksum claims columns comparison conformance conforms convention cutting data dataspace datatype
decoding difference differences divided does examples exclude_layers freezing from header how ii
integer is iv joining json judges learning links lossless malformed may metadata method mixed none
not numbers of one opening order other over packed plan quality readings reconstruction record
refusing regular required requires_grad root rules seeking semantics sha-256 shapes source sources
sparse standard static structure suite superblock syntax test the their this to trained training two
unfinished untrusted use vectors verification verified version versions view what whom work
zstandard bases bounds learnt nmc quantisation remembered
content demanded encryption example name reading signed that
"""
"""Words that a heading may have, beside terms."""

RETIRED = {
    "plane": (r"(?<!byte )\bplanes?\b", "coded tensor, or byte plane"),
    "layout": (r"(?<!data )\blayouts?\b", "word format; structure; data layout message of HDF5"),
    "memory of the coder": (r"memory of (the|its) coder", "history"),
    "size of a change": (r"size of (a|the) change", "extent"),
    "size of a difference": (r"(?<!bit )length of (a|the) difference", "bit length"),
    "states of lanes": (r"states? of (the|four) lanes?", "lane"),
    "group of tensors": (r"groups? of (tensors|planes)", "section"),
    "coding of a frame": (r"coding type|coding of (a|the) frame", "frame type"),
    "weights of a trend": (r"weights of (a|the) (trend|forecast)", "coefficient"),
}
"""Words that had several meanings, and what is said now in that sense."""


def plain(page: str) -> str:
    """Return a page without code, which has names and no terms."""
    page = re.sub(r"<!--.*?-->", "", page, flags=re.DOTALL)
    page = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
    page = re.sub(r"\]\([^)\s]*\)", "]", page)
    return re.sub(r"`[^`\n]*`", "", page).replace("**", "")


def singular(words: str) -> str:
    """Return a term as clause 3.1 lists it."""
    if words[1:2].islower():
        words = words[0].lower() + words[1:]
    for ending, by in (("ies", "y"), ("indices", "index"), ("media", "medium"), ("s", "")):
        if words.endswith(ending) and words[: -len(ending)] + by in TERMS:
            return words[: -len(ending)] + by
    return words


def undefined(page: str) -> set[str]:
    """Return what is in italics and is neither a term nor a variable."""
    found = {words for words in _ITALICS.findall(plain(page)) if not _VARIABLE.fullmatch(words)}
    return {words for words in found - KEYWORDS if singular(words) not in TERMS}


def used(term: str) -> bool:
    """Return whether a normative part uses a term, in either number."""
    stem = term[:-1] + "(y|ies)" if term.endswith("y") else term + "(s|es)?"
    pattern = re.compile(rf"(?<![\w-]){stem}(?![\w-])".replace(" ", r"\s+"), re.IGNORECASE)
    return any(pattern.search(plain(page)) for page in NORMATIVE.values())


def strange(title: str) -> set[str]:
    """Return the words of a heading that are neither in a term nor plain."""
    known = {*PLAIN.split(), *(word.lower() for term in TERMS for word in term.split())}
    words = re.findall(r"[\w-]+", title.lower())
    return {
        w
        for w in words
        if w not in known and singular(w) not in known and w.rstrip("s") not in known
    }


@pytest.mark.parametrize("name", NORMATIVE)
def test_what_is_introduced_is_a_term(name: str) -> None:
    assert undefined(NORMATIVE[name]) == set()


@pytest.mark.parametrize("name", NORMATIVE)
def test_headings_are_made_of_terms(name: str) -> None:
    assert {h.title: w for h in anchors.headings(NORMATIVE[name]) if (w := strange(h.title))} == {}


@pytest.mark.parametrize("term", TERMS)
def test_every_term_is_used(term: str) -> None:
    assert used(term)


def test_terms_are_in_order_and_distinct() -> None:
    assert sorted(set(TERMS), key=str.lower) == TERMS


def test_a_new_word_does_not_slip_through() -> None:
    assert undefined("A *gadget* is a thing; *t* and *w* are variables.") == {"gadget"}
    assert undefined("*Segments* and *Gadgets* and `*code*`.") == {"Gadgets"}
    assert strange("Gadgets of a segment") == {"gadgets"}
    assert not used("gadget")


@pytest.mark.parametrize("word", RETIRED)
def test_a_word_has_one_meaning(word: str) -> None:
    pattern = re.compile(RETIRED[word][0], re.IGNORECASE)
    texts = {
        name: plain(page) for name, page in PAGES.items() if not name.startswith(("02", "annex-c"))
    }
    texts |= {code: f"{issue.message} {issue.hint}" for code, issue in issues().items()}
    found = {name: m[0] for name, text in texts.items() if (m := pattern.search(text))}
    assert found == {}


def test_a_group_is_of_frames_and_else_of_hdf5() -> None:
    pages = {n: plain(p) for n, p in PAGES.items() if n.startswith(("05", "annex-d"))}
    found = [
        (name, line)
        for name, page in pages.items()
        for line in page.splitlines()
        if re.search(r"(?<!HDF5 )\bgroups?\b(?! info)", line)
    ]
    assert found == []
