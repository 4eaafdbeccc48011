"""The pages that ask people, answered in a browser: what they save is what the commands read."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("av")

from browser import PATIENCE, chromium
from super_resolution_samples import write_film, write_pictures

pytestmark = pytest.mark.slow(minutes=0.3)


@pytest.fixture(scope="module")
def page():
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        yield page
        browser.close()


def answered(page, sheet, buttons, kind):
    """Answer a page by the values of its buttons; return the file that it saves."""
    page.goto(sheet.resolve().as_uri())
    page.click("#start")
    assert page.is_visible("#begin")  # without a name nobody begins
    page.fill("#person", 'ann, "the first"')
    page.click("#start")
    for value in buttons:
        assert page.is_visible("#ask")
        page.click(f"button[value='{value}']")
    assert page.is_visible("#end")
    with page.expect_download() as saved:
        page.click(f"#{kind}")
    path = sheet.with_suffix(f".{kind}")
    path.write_bytes(Path(saved.value.path()).read_bytes())
    return path


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_scores_are_saved_as_they_are_read(run, page, tmp_path, kind):
    films = [write_film(tmp_path / f"{k}.mp4", count=2) for k in range(2)]
    sheet = tmp_path / "mos.html"
    assert run("sr", "mos-sheet", f"a={films[0]}", f"b={films[1]}", "-o", sheet).code == 0
    saved = answered(page, sheet, ["4", "4"], kind)
    assert sorted(run("sr", "mos", saved).out.splitlines()) == [
        "a: 4.00, 1 answer of 1 person",
        "b: 4.00, 1 answer of 1 person",
    ]


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_choices_are_saved_with_the_sides_that_were_shown(run, page, tmp_path, kind):
    one, two = sorted(write_pictures(tmp_path / "pictures", 2).iterdir())[:2]
    sheet = tmp_path / "better.html"
    assert run("sr", "preference-sheet", f"a={one}", f"b={two}", "-o", sheet).code == 0
    page.goto(sheet.resolve().as_uri())
    sources = page.evaluate("sources")
    saved = answered(page, sheet, ["none"], kind)
    assert "0 of 0 (-), 1 undecided, p 1; 1 person" in run("sr", "preference", saved).out
    page.goto(sheet.resolve().as_uri())
    page.fill("#person", "eve")
    page.click("#start")
    left = "ab"[sources.index(page.get_attribute("#left img", "src"))]
    page.click("button[value=left]")
    (choice,) = page.evaluate("answers")
    assert choice["chosen"] == "first" and choice["first"] == left
