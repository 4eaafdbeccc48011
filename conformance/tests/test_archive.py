"""The suite as one file: the same bytes each time, run from, and refused where it is damaged."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest
from programs import CONFORMANCE, VECTORS, plain

import make_archive
from nmc_conformance import __main__ as main
from nmc_conformance import archive, results
from nmc_conformance.vectors import SuiteError, load_suite, suite_version

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "07-decoding/there-and-back"
OTHERS = ("07-decoding/raw-bit", "07-decoding/all-key", "07-decoding/long-group")


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = make_archive.write(tmp_path_factory.mktemp("archive"))
    return made


@pytest.fixture(scope="module")
def part(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small part of the suite, as it is unpacked."""
    root = archive.unpack(suite, tmp_path_factory.mktemp("part") / "all")
    for vector in root.glob("*/*"):
        if vector.is_dir() and vector.relative_to(root).as_posix() not in {GOOD, *OTHERS}:
            shutil.rmtree(vector)
    sums = root.parent / "SHA256SUMS"
    kept = [line for line in sums.read_text().splitlines() if (root.parent / line[66:]).exists()]
    sums.write_text("".join(f"{line}\n" for line in kept))
    return root.parent


@pytest.fixture
def unpacked(part: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder to change."""
    copied: Path = shutil.copytree(part, tmp_path / "all" / part.name)
    return copied


def judged(*arguments: str) -> int:
    return main.main(["run", "--decoder", plain(), "-q", *arguments])


def test_made_twice_it_is_the_same(suite: Path, tmp_path: Path) -> None:
    again = make_archive.write(tmp_path)
    assert again.read_bytes() == suite.read_bytes()
    assert again.name == f"nmc-conformance-{suite_version(VECTORS)}.zip"
    digest = hashlib.sha256(again.read_bytes()).hexdigest()
    assert again.with_suffix(".zip.sha256").read_text() == f"{digest}  {again.name}\n"
    assert again.stat().st_size <= 12 << 20


@pytest.mark.parametrize(
    "surroundings",
    [
        {"umask": 0o077, "TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "1"},
        {"umask": 0o000, "TZ": "America/Anchorage", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2"},
    ],
    ids=["narrow", "wide"],
)
def test_its_bytes_do_not_depend_on_where_it_is_made(
    suite: Path, tmp_path: Path, surroundings: dict[str, object]
) -> None:
    umask = surroundings.pop("umask")
    code = f"import os, runpy, sys; os.umask({umask}); sys.argv[1:] = ['-o', {str(tmp_path)!r}]\n"
    code += f"runpy.run_path({make_archive.__file__!r}, run_name='__main__')"
    environment = {**os.environ, **{k: str(v) for k, v in surroundings.items()}}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 or "SystemExit" in done.stderr, done.stderr
    assert (tmp_path / suite.name).read_bytes() == suite.read_bytes()


def test_a_copy_of_an_editor_is_no_part_of_it(suite: Path) -> None:
    stray = VECTORS / "07-decoding" / "all-key" / "vector.json~"
    stray.write_text("{}")
    try:
        assert f"vectors/{stray.relative_to(VECTORS)}" not in make_archive.files()
    finally:
        stray.unlink()


def test_each_version_is_in_the_changelog() -> None:
    text = (CONFORMANCE / "CHANGELOG.md").read_text(encoding="utf-8")
    make_archive.check_changelog(text, suite_version(VECTORS))
    with pytest.raises(make_archive.UnreleasedError, match=r"the suite is 9\.9\.9"):
        make_archive.check_changelog(text, "9.9.9")


def test_it_holds_what_an_implementer_needs(suite: Path) -> None:
    with zipfile.ZipFile(suite) as file:
        members = file.infolist()
        content = {m.filename.partition("/")[2]: file.read(m) for m in members}
    assert {m.date_time for m in members} == {(1980, 1, 1, 0, 0, 0)}
    assert [m.filename for m in members] == sorted(m.filename for m in members)
    wanted = {"README.md", "PROTOCOL.md", "LICENSE", "clauses.json", "issues.toml", "SHA256SUMS"}
    wanted |= {"CHANGELOG.md", "schemas/description.schema.json"}
    wanted |= {"vectors/suite.json", "schemas/vector.schema.json", "schemas/clauses.schema.json"}
    assert wanted <= content.keys()
    assert len([n for n in content if n.endswith("/vector.json")]) == len(
        load_suite(VECTORS).vectors
    )
    listed = dict(
        line.split("  ")[::-1] for line in content.pop("SHA256SUMS").decode().splitlines()
    )
    assert listed == {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}


@pytest.mark.slow(minutes=0.15)
def test_it_is_run_as_it_is(suite: Path, tmp_path: Path) -> None:
    output = tmp_path / "results.ndjson"
    assert judged("--suite", str(suite), "-o", str(output), GOOD) == 0
    made = results.read(output)
    assert (made.passed, made.suite) == (True, suite_version(VECTORS))
    assert main.main(["report", str(output), "--suite", str(suite)]) == 0
    assert main.main(["list", "--suite", str(suite), GOOD]) == 0


@pytest.mark.slow
def test_it_is_run_where_it_was_unpacked(unpacked: Path) -> None:
    assert judged("--suite", str(unpacked)) == 0
    assert judged("--suite", str(unpacked.parent)) == 0
    assert judged("--suite", str(unpacked / "vectors")) == 0
    shutil.copytree(unpacked, unpacked.with_name("another"))
    with pytest.raises(SuiteError, match="several suites"):
        archive.vectors_of(unpacked.parent)


@pytest.mark.slow(minutes=0.03)
def test_a_changed_file_is_broken_and_the_run_goes_on(unpacked: Path, tmp_path: Path) -> None:
    bit, key, group = (unpacked / "vectors" / name for name in OTHERS)
    content = json.loads((bit / "vector.json").read_text())
    (bit / "vector.json").write_text(json.dumps({**content, "summary": "as good as new"}))
    (key / "vector.json").unlink()
    package = group / "package.nmc"
    package.write_bytes(package.read_bytes()[:-1])
    shutil.copytree(unpacked / "vectors" / GOOD, unpacked / "vectors/07-decoding/one-more")
    output = tmp_path / "results.ndjson"
    assert judged("--suite", str(unpacked), "-o", str(output)) == 1
    made = {r.vector: (r.verdict, r.detail) for r in results.read(output).results}
    assert made == {
        GOOD: ("pass", ""),
        OTHERS[0]: ("broken", "vector.json is not the file that SHA256SUMS names"),
        OTHERS[1]: ("broken", "vector.json is missing"),
        OTHERS[2]: ("broken", "package.nmc is not the file that the vector names"),
        "07-decoding/one-more": ("broken", "is not in SHA256SUMS of the archive"),
    }


def test_a_list_of_digests_that_is_none(unpacked: Path) -> None:
    (unpacked / "SHA256SUMS").write_text("nothing\n")
    with pytest.raises(SuiteError, match="line 1: is not a digest"):
        load_suite(unpacked / "vectors")


def test_a_suite_for_another_format(unpacked: Path) -> None:
    path = unpacked / "vectors" / "suite.json"
    path.write_text(path.read_text().replace('"format_version": "1.1"', '"format_version": "2.0"'))
    with pytest.raises(SuiteError, match=r"for format 2\.0, this runner knows 1\.1"):
        suite_version(unpacked / "vectors")
    assert judged("--suite", str(unpacked)) == 2


def hostile(path: Path, *members: tuple[str, bytes], mode: int = 0o100644) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, data in (("top/vectors/suite.json", b"{}"), *members):
            member = zipfile.ZipInfo(name)
            member.external_attr = (mode if name.startswith("top/link") else 0o100644) << 16
            file.writestr(member, data)
    return path


@pytest.mark.parametrize(
    ("member", "why"),
    [
        ("../outside", "not a path within a suite"),
        ("top/../../outside", "not a path within a suite"),
        ("/top/outside", "not a path within a suite"),
        ("top\\..\\outside", "not a path within a suite"),
        ("top/a\nb", "not a path within a suite"),
        ("C:/outside", "not a path within a suite"),
        ("top/folder/", "not a path within a suite"),
        ("top/link", "not a regular file"),
        ("other/vectors/suite.json", "not in one folder"),
    ],
)
def test_no_member_leads_out(member: str, why: str, tmp_path: Path) -> None:
    path = hostile(tmp_path / "bad.zip", (member, b"x"), mode=0o120777)
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    with pytest.raises(SuiteError, match=why):
        archive.unpack(path, folder)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["bad.zip", "deep", "folder"]


def test_a_member_twice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        path = hostile(tmp_path / "bad.zip", ("top/vectors/suite.json", b"x"))
    with pytest.raises(SuiteError, match="occurs twice"):
        archive.unpack(path, tmp_path / "folder")


def test_what_is_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hostile(tmp_path / "bad.zip", ("top/a", b"x" * 100))
    for name in ("MAX_BYTES", "MAX_MEMBERS"):
        with monkeypatch.context() as patch:
            patch.setattr(archive, name, 1)
            with pytest.raises(SuiteError, match="larger than a suite"):
                archive.unpack(path, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_a_damaged_archive(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = bytearray(suite.read_bytes())
    with zipfile.ZipFile(suite) as members:
        content_of = members.read(max(members.infolist(), key=lambda member: member.file_size))
    data[data.index(content_of) + len(content_of) // 2] ^= 1
    for name, content in (("bit", data), ("cut", data[:1000]), ("text", b"not an archive")):
        path = tmp_path / f"{name}.zip"
        path.write_bytes(content)
        assert judged("--suite", str(path), GOOD) == 2
        assert "download it again" in capsys.readouterr().err


def test_where_nothing_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for place in (tmp_path, tmp_path / "none", tmp_path / "empty.zip"):
        if place.suffix:
            zipfile.ZipFile(place, "w").close()
        assert judged("--suite", str(place)) == 2
        assert str(place) in capsys.readouterr().err
    assert judged("--vectors", str(tmp_path / "none")) == 2
    assert "no such folder" in capsys.readouterr().err


def test_an_installed_package_says_where_the_vectors_are(tmp_path: Path) -> None:
    """The packages alone, as a wheel has them, without a checkout around them."""
    for source in (CONFORMANCE / "nmc_conformance", CONFORMANCE.parent / "spec" / "nmc_spec"):
        shutil.copytree(source, tmp_path / "site" / source.name)
    code = "import runpy, sys; sys.path.insert(0, sys.argv.pop(1)); "
    code += "runpy.run_module('nmc_conformance', run_name='__main__')"
    command = [sys.executable, "-c", code, str(tmp_path / "site"), "list"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert done.returncode == 2
    assert "the vectors are not installed; get nmc-conformance-<version>.zip" in done.stderr
