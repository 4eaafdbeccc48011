"""The mutants that measure the suite's power, and a small sample of them put to it."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

MUTATION = Path(__file__).resolve().parents[1] / "mutation"
sys.path.insert(0, str(MUTATION))

from interpreted import bit_length, bits_of, get, load64, put, store64, word_at  # noqa: E402
from mutate import sample  # noqa: E402
from operators import Site, mutants, mutated_tree  # noqa: E402
from reach import IMPORT, Reach  # noqa: E402
from report import markdown  # noqa: E402
from scope import read_explained, read_scope  # noqa: E402
from selector import Selector  # noqa: E402
from swap import changed, functions  # noqa: E402
from swap import put as put_code  # noqa: E402
from trial import Verdict  # noqa: E402

from nmc_conformance.vectors import default_root, load_suite  # noqa: E402

SOURCE = """
LIMIT = 7


class Box:
    def inner(self, a, b=2):
        if a < b and not a:
            raise ValueError(a + 1)
        if encoding:
            return a - 1
        return -a // b, f"{a + 1}", max(a, b), refuse("x", offset=8)
"""


@pytest.fixture(scope="module")
def sites() -> list[Site]:
    return read_scope().sites()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.py"
    path.write_text(SOURCE, encoding="utf-8")
    return path


def test_every_comparison_constant_sign_rounding_and_bound_is_changed(source: Path) -> None:
    found = {(s.function, s.change) for s in mutants("source", source)}
    assert found == {
        ("", "LIMIT = 7 -> LIMIT = 8"),
        ("", "LIMIT = 7 -> LIMIT = 6"),
        ("Box.inner", "def inner(self, a, b=2): -> def inner(self, a, b=3):"),
        ("Box.inner", "def inner(self, a, b=2): -> def inner(self, a, b=1):"),
        ("Box.inner", "a < b and (not a) -> a < b or not a"),
        ("Box.inner", "a < b -> a <= b"),
        ("Box.inner", "a < b -> a >= b"),
        ("Box.inner", "a < b and (not a) -> a < b and a"),
        ("Box.inner", "-a // b -> -(--a // b) * 1"),
        ("Box.inner", "-a // b -> a // b"),
        ("Box.inner", "max(a, b) -> min(a, b)"),
    }


def test_what_is_left_out_has_no_mutants(source: Path) -> None:
    assert {s.function for s in mutants("source", source, frozenset({"Box.inner"}))} == {""}


def test_each_mutant_differs_from_the_source_in_one_place(source: Path) -> None:
    original = ast.unparse(ast.parse(SOURCE))
    made = [ast.unparse(mutated_tree(s, source)) for s in mutants("source", source)]
    assert original not in made
    assert len(set(made)) == len(made)


def test_names_are_unique_and_explanations_belong_to_mutants(sites: list[Site]) -> None:
    names = [s.name for s in sites]
    assert len(set(names)) == len(names)
    assert set(read_explained()) <= set(names)


def test_machine_operations_have_the_values_of_the_compiled_ones() -> None:
    import numpy as np

    octets = np.arange(1, 20, dtype=np.uint8)
    assert load64(octets, 3) == 0x0B0A090807060504
    assert bits_of(octets) == 8
    assert word_at(octets.ctypes.data, 1) == 0x08070605
    store64(octets, 1, np.uint64(0xFFFF))
    assert octets[:10].tolist() == [1, 255, 255, 0, 0, 0, 0, 0, 0, 10]
    put(octets, 0, 0x1234)
    assert get(octets, 0) == 0x34
    assert [bit_length(np.uint64(v)) for v in (0, 1, 2**63)] == [0, 1, 64]
    with pytest.raises(IndexError):
        load64(octets, 12)


def test_the_score_counts_what_changes_behaviour(source: Path) -> None:
    few = mutants("source", source)
    fates = ["killed"] * 8 + ["noticed", "survived", "survived"]
    verdicts = {s.name: Verdict(f) for s, f in zip(few, fates, strict=True)}
    text = markdown(few, verdicts, {few[-1].name: "nothing changes"}, 11)
    assert "| **all** | 11 | 1 | 8 | 1 | 1 | 90.0 % |" in text.table
    assert "A sample" not in text.table
    of_more = markdown(few, verdicts, {}, 1234).table
    assert of_more.startswith("A sample of 11 of 1,234 mutants.\n\n| floor |")
    assert not text.enough
    assert few[-2].name in text.full.partition("## Told")[0]


def test_a_sample_is_the_same_each_time(sites: list[Site]) -> None:
    assert sample(sites, 20, 3) == sample(sites, 20, 3) != sample(sites, 20, 4)


def test_a_sample_stays_where_the_code_stays(sites: list[Site]) -> None:
    """Other mutants before a mutant, or in other modules, do not change its place by chance."""
    before = sample(sites, None, 1)
    assert len(before) == len(sites) > 3
    fewer = sample(sites[1:], None, 1)
    assert fewer == [site for site in before if site != sites[0]]


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(MUTATION / "mutate.py"), *words]
    memory = Path("/dev/shm")  # where many small folders are made and removed
    place = {"TMPDIR": str(memory)} if memory.is_dir() else {}
    environment = {**os.environ, **place}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.slow(minutes=0.7)
@pytest.mark.parametrize("count", [16, pytest.param(48, marks=pytest.mark.long)])
def test_the_suite_kills_a_sample(tmp_path: Path, count: int) -> None:
    """The checks of the format, without the vectors of the coder; ``make mutation`` takes all.

    What element types are made of is told by the coder's vectors alone.
    """
    words = ["-o", str(tmp_path), "--sample", str(count), "--only", "nmc_format", "--jobs", "1"]
    words += ["--without", "nmc_format.dtypes", "--vectors", "0[!8]-*", "--vectors", "1[!1]-*"]
    done = _run(*words)
    assert done.returncode == 0, done.stdout + (tmp_path / "mutation.md").read_text("utf-8")
    again = _run(*words)
    assert "mutants, 0 known" in done.stderr
    assert "mutants, 0 known" not in again.stderr
    assert again.stdout == done.stdout


@pytest.mark.slow(minutes=0.5)
def test_a_poor_suite_kills_too_few(tmp_path: Path) -> None:
    words = ["--only", "nmc_format.segment", "--sample", "22", "--jobs", "1"]
    done = _run("-o", str(tmp_path), *words, "--vectors", "05-package/one-*")
    assert done.returncode == 1, done.stdout
    assert "- `nmc_format.segment:" in (tmp_path / "mutation.md").read_text("utf-8")


TWO = """
A = {}
def f(x{}):
    return x + {}
class C:
    b = {}
    def m(self): return {}
"""


def test_only_what_differs_is_swapped() -> None:
    """A mutant within functions needs no import; one of a table, a default or a class does."""
    old = compile(TWO.format(1, "", 1, 2, 3), "s", "exec")

    def codes(text: str) -> list[str] | None:
        found = changed(old, compile(text, "s", "exec"))
        return None if found is None else [code.co_qualname for code in found]

    assert codes(TWO.format(1, "", 1, 2, 3)) == []
    assert codes(TWO.format(1, "", 2, 2, 3)) == ["f"]
    assert codes(TWO.format(1, "", 1, 2, 4)) == ["C.m"]
    assert codes(TWO.format(2, "", 1, 2, 3)) is None
    assert codes(TWO.format(1, "", 1, 3, 3)) is None
    assert codes(TWO.format(1, "=4", 1, 2, 3)) is None


def test_a_swapped_function_is_the_one_that_everybody_calls(source: Path) -> None:
    text = source.read_text(encoding="utf-8")
    names: dict[str, object] = {}
    code = compile(text, str(source), "exec")
    exec(code, names)
    names["encoding"] = True
    inner = names["Box"]().inner  # held by somebody before it is swapped
    assert inner(5) == 4
    mutant = next(s for s in mutants("source", source) if s.change == "-a // b -> a // b")
    other = compile(mutated_tree(mutant, source), str(source), "exec")
    assert put_code(changed(code, other), functions())
    names["encoding"] = False
    names["refuse"] = lambda *words, **facts: None
    assert inner(5)[0] == 5 // 2


def test_neighbours_of_a_killed_mutant_are_put_to_its_killer_first(sites: list[Site]) -> None:
    place = next(s for s in sites if s.module == "nmc_format.segment" and s.function)
    path = str(read_scope().path(place.module))
    vectors = load_suite(default_root(), ["06-segment/s*"]).vectors[:6]
    lines = {path: frozenset(range(place.lines[0], place.lines[1] + 1))}
    reaches = [Reach("decoder", v.id, lines, float(k)) for k, v in enumerate(vectors, 1)]
    reaches.append(Reach(IMPORT, "", {path: frozenset()}, 0.0))
    selector = Selector(read_scope(), reaches, vectors)
    assert selector.tests(place)[0] == ("decoder", vectors[0])
    selector.learn(place, Verdict("killed", "decoder", vectors[3].id))
    assert [v for _, v in selector.tests(place, 2)] == [vectors[3], vectors[0]]
    assert len(selector.tests(place)) == len(vectors)
