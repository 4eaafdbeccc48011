"""The inner loops about the words of sparse updates (clause 8.7): found, gathered and put back."""

from __future__ import annotations

from typing import Any

from nmc.coding.arithmetic.jit import I64, U64, Array, bits_of, get, kernel, put


@kernel
def count_changes(reference: Array, current: Array) -> Any:
    """Return how many words differ."""
    number = I64(0)
    for i in range(reference.size):
        number += I64(reference[i] != current[i])
    return number


@kernel
def count_turned(reference: Array, current: Array) -> Any:
    """Return how many words differ in their first bit."""
    last = bits_of(reference) - U64(1)  # known when it is compiled
    number = I64(0)
    for i in range(reference.size):
        number += I64((get(reference, U64(i)) ^ get(current, U64(i))) >> last)
    return number


@kernel
def find_changes(reference: Array, current: Array, out: Array) -> Any:
    """Write the indices of the words that differ to uint32 out; return how many there are.

    out has one element to spare: a word that is equal is written over by the next one, which costs
    less than a branch that nobody can foresee.
    """
    number = U64(0)
    for i in range(reference.size):
        put(out, number, U64(i))
        number += U64(get(reference, U64(i)) != get(current, U64(i)))
    return I64(number)


@kernel
def join_cells(words: Array, size: int, out: Array) -> Any:
    """Write the cells of ascending words to uint32 out; return how many there are."""
    number = I64(0)
    last = I64(-1)
    for i in range(words.size):
        found = I64(get(words, U64(i))) // size
        if found != last:
            put(out, U64(number), U64(found))
            number += 1
            last = found
    return number


@kernel
def gather(words: Array, indices: Array, out: Array) -> None:
    """Copy some words."""
    for i in range(indices.size):
        put(out, U64(i), get(words, get(indices, U64(i))))


@kernel
def scatter(words: Array, indices: Array, into: Array) -> None:
    """Put words back where `gather` took them from."""
    for i in range(indices.size):
        put(into, get(indices, U64(i)), get(words, U64(i)))


@kernel
def look_among(words: Array, entries: Array, wanted: Array, out: Array) -> None:
    """Write the entries of the wanted words that are among some words, else 0; both ascend."""
    at = U64(0)
    i = U64(0)
    while i < wanted.size and at < words.size:
        word, want = get(words, at), get(wanted, i)
        put(out, i, get(entries, at) if word == want else U64(0))
        i += U64(word >= want)
        at += U64(word <= want)
    while i < wanted.size:
        put(out, i, U64(0))
        i += U64(1)
