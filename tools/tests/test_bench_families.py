"""``nmc bench families``: what it measures of each family."""

import json

import pytest

pytest.importorskip("torch")
from nmc_framework.models import families
from nmc_tools.bench_families.measure import VARIANTS, film, wanted


def test_every_family_has_a_row():
    assert {name for name, _ in wanted([])} == set(families())
    assert len(wanted([])) == len(families()) + sum(len(v) - 1 for v in VARIANTS.values())


def test_a_clip_and_the_next_one_are_measured(run):
    options = ["--family", "siren", "--family", "coin", "--side", 12, "--share", 0.002]
    done = run("bench", "families", *options, "--json")
    assert done.code == 0, done
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert rows["siren"]["pictures"] == 16 and rows["coin"]["pictures"] == 1
    for row in rows.values():
        assert 0 < row["first"] < 100 and 0 < row["later"] < 100
        assert row["sizes"][1] > 0 and row["sizes"][0] < 4.2 * row["weights"] + 4000
    told = run("bench", "families", "--family", "bogus")
    assert told.code == 2 and "no bogus; there are" in told.err


def test_the_film_moves():
    pictures = film(16, 3)
    assert pictures.shape == (3, 16, 16, 3) and (pictures[0] != pictures[2]).any()
