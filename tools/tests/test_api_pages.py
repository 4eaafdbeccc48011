"""The pages of the API: their examples are run, and every public name is in one."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "api"
PAGES = sorted(p for p in FOLDER.glob("*.md") if p.stem != "index")
EXAMPLE = re.compile(r"^```pycon\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples(page):
    return EXAMPLE.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_the_examples_run(page, tmp_path, monkeypatch):
    if "torch" in page.read_text(encoding="utf-8"):
        pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    text = "\n".join(examples(page))
    test = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    told = []
    result = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)
    assert result.attempted > 5
    assert result.failed == 0, "".join(told)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_every_public_name_has_an_example_and_its_entry(page):
    public = importlib.import_module(page.stem).__all__
    shown, text = "\n".join(examples(page)), page.read_text(encoding="utf-8")
    lacking = [name for name in public if not re.search(rf"\b{name}\b", shown)]
    assert lacking == []
    entries = set(re.findall(r"^\.\. (?:auto\w+|py:data):: (\S+)", text, re.MULTILINE))
    objects = {f"{page.stem}.{name}" for name in public if not name.startswith("FORMAT_VERSION")}
    assert objects <= entries
