"""``nmc bench families``: what it measures of each family."""

import json

import pytest

pytest.importorskip("torch")
from nmc_framework.models import ChainModel, families
from nmc_framework.models.pictures.siren import Siren
from nmc_tools.bench_families import measure
from nmc_tools.bench_families.measure import ELSEWHERE, VARIANTS, Reached, film, wanted
from nmc_tools.bench_families.table import table


class Other(ChainModel):
    """Learns nothing that is filmed."""

    family = "other"


def test_every_family_has_a_row_or_is_measured_elsewhere():
    each = wanted([])
    assert {name for name, _ in each} | set(ELSEWHERE) == set(families())
    assert not {name for name, _ in each} & set(ELSEWHERE)
    assert set(VARIANTS) <= {name for name, _ in each}
    assert len(each) == len(families()) - len(ELSEWHERE) + sum(
        len(v) - 1 for v in VARIANTS.values()
    )


def test_families_that_learn_something_else_are_left_out(run, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "families", lambda: ("siren", "other"))
    monkeypatch.setattr(measure, "family", lambda name: Other if name == "other" else Siren)
    assert [name for name, _ in wanted([])] == ["siren", "siren"]
    monkeypatch.undo()
    done = run("bench", "families", "--family", "depth_unet", "-o", tmp_path, "--json")
    assert json.loads(done.out) == [] and "'nmc depth experiment' measures it" in done.err


def test_a_clip_and_the_next_one_are_measured_and_kept(run, tmp_path, monkeypatch):
    options = ["--family", "siren", "--family", "coin", "--side", 12, "--share", 0.002]
    options += ["-o", tmp_path / "kept"]
    done = run("bench", "families", *options, "--json")
    assert done.code == 0, done
    rows = {row["name"]: row for row in json.loads(done.out)}
    assert list(rows) == ["siren", "siren of 1 picture", "coin"]
    assert [row["pictures"] for row in rows.values()] == [16, 1, 1]
    for row in rows.values():
        assert 0 < row["first"] < 100 and 0 < row["later"] < 100
        assert row["sizes"][1] > 0 and row["sizes"][0] < 4.2 * row["weights"] + 4000
    monkeypatch.setattr(measure, "train_on", None)
    assert json.loads(run("bench", "families", *options, "--json").out) == list(rows.values())
    with pytest.raises(TypeError, match="not callable"):
        run("bench", "families", *options, "--share", 0.004)
    told = run("bench", "families", "--family", "bogus")
    assert told.code == 2 and "no bogus; there are" in told.err


def test_the_film_moves():
    pictures = film(16, 3)
    assert pictures.shape == (3, 16, 16, 3) and (pictures[0] != pictures[2]).any()


def test_the_table_tells_what_was_aimed_at():
    def row(name, first, seconds, pictures=None, moving=None):
        return Reached(name, pictures, 9, first, first, (seconds, 1.0), (5, 4), moving)

    text = table(
        [
            row("siren", 25.0, 50.0, 16), row("siren of 1 picture", 31.0, 8.0, 1),
            row("hash_grid", 29.0, 10.0), row("tensorf vm", 28.5, 25.0),
            row("tensorf cp", 9.0, 9.0), row("dnerf", 20.0, 9.0, moving=(21.0, 17.5)),
        ],
        "a machine",
    )  # fmt: skip
    assert "| siren of 1 picture | 30 dB in 30 s | 31.00 dB in 8.0 s |" in text
    aim = "within 1 dB of hash_grid in 3 times its time"
    assert f"| tensorf | {aim} | -0.50 dB in 2.5 times its time |" in text
    assert "over a static model of its size | +3.50 dB |" in text and text.count("tensorf cp") == 1
    assert "depth_unet (nmc depth experiment)" in text


def test_a_file_without_marks_is_refused_before_there_is_work(run, tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "film", None)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.md").write_text("<!-- families -->")
    told = run("bench", "families", "--family", "siren", "--into", "x.md")
    assert told.code == 2 and "has no marks" in told.err
    told = run("bench", "families", "--family", "siren", "-o", "x.md")
    assert told.code == 1 and "the results go into a folder" in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["x.md"]
