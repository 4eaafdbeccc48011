"""What is right after a command failed: nothing lost, no success that is none, recover works."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from commands import Command

import nmc
from nmc_format.package.form import open_package

PACKAGE, PARTIAL, JOURNAL = "x.nmc", "x.nmc.partial", "journal.ndjson"

Digests = list[bytes]


def sound(path: Path) -> Digests | None:
    """Return the state digests of a package that passes the check without a warning, or None."""
    report = nmc.check(path, key=_key_of(path))
    if report.findings:
        return None
    return digests(path)


def accepted(path: Path) -> Digests | None:
    """Return the same of one with warnings, such as of a journal that is still there."""
    return digests(path) if nmc.check(path, key=_key_of(path)).accepted else None


def _key_of(path: Path) -> Path | None:
    """Return the key of an encrypted package, which lies beside it."""
    place = path.with_suffix(".key")
    return place if place.exists() else None


def digests(path: Path) -> Digests:
    """Return the state digests of a package."""
    with nmc.open(path) as sequence:
        return [frame.state_digest for frame in sequence.frames]


def contents(path: Path, *, timed: bool = False) -> dict[str, bytes]:
    """Return the members of a package, without a manifest that says how long it took."""
    with open_package(path) as package:
        members = {} if timed else {"manifest.h5": package.manifest()}
        members |= {n: package.signature(n, 1 << 16) for n in package.signatures()}
    with nmc.open(path, key=_key_of(path)) as sequence:
        members |= {str(t): sequence.coded(t) for t in range(len(sequence))}
        members |= {f"medium {n}": medium.read() for n, medium in sequence.media.items()}
    return members


def left_over(root: Path) -> list[str]:
    """Return what no finished command leaves behind."""
    found = [path.name for path in root.iterdir() if ".nmc." in path.name]
    if (root / PACKAGE).is_dir():
        found += [p.name for p in (root / PACKAGE).iterdir() if p.name not in _MEMBERS]
        found += [p.name for p in (root / PACKAGE).glob("*/*.new")]
    return found


_MEMBERS = {"manifest.h5", "media", "segments", "signatures"}


@dataclass(frozen=True)
class Expected:
    """What a command makes, and what was there before, measured once without faults."""

    after: dict[str, bytes]
    states: Digests
    before: Digests | None


@dataclass
class Tally:
    """Counts of one command in one form.

    Attributes
    ----------
    tried : int
        Faults.
    faults : dict of str to list of str
        By kind: where they were.
    """

    tried: int = 0
    faults: dict[str, list[str]] = field(
        default_factory=lambda: {LOST: [], MISREPORTED: [], UNRECOVERED: []}
    )


LOST, MISREPORTED, UNRECOVERED = "frames lost", "wrongly reported", "recover failed"


def quiet(run: Callable[[], None]) -> int | str:
    """Run a command line in this process; return its exit code, or what it raised."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            run()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(bool(end.code))
        except nmc.FormatError:
            return 1
        except Exception as error:
            return f"{type(error).__name__}: {error}"
    return 0


def expected(command: Command, template: Path, scratch: Path) -> Expected:
    """Carry a command out without faults."""
    place = template / PACKAGE
    before = accepted(place) if command.replaces else None
    root = scratch / "expected"
    shutil.copytree(template, root, symlinks=True)
    code = quiet(lambda: command.run(root))
    if code or left_over(root):
        raise RuntimeError(f"{command.title} fails without any fault: {code}, {left_over(root)}")
    states = sound(root / PACKAGE)
    if states is None:
        raise RuntimeError(f"{command.title} makes a package that is refused")
    made = Expected(contents(root / PACKAGE, timed=command.timed), states, before)
    shutil.rmtree(root)
    return made


def judge(
    command: Command, root: Path, wanted: Expected, code: int | str, finished: int
) -> list[tuple[str, str]]:
    """Return the faults of a command that ended with a code, after so many finished frames.

    Parameters
    ----------
    command : Command
        The command.
    root : Path
        The folder in which it was; changed.
    wanted : Expected
        What it makes.
    code : int or str
        Its exit code; negative for a signal, text for an exception.
    finished : int
        Frames of which the command was told that they are on the disk.
    """
    found: list[tuple[str, str]] = []
    now = accepted(root / PACKAGE)
    if isinstance(code, str):
        found.append((MISREPORTED, f"ends with {code}"))
    if code == 0:
        made = contents(root / PACKAGE, timed=command.timed) if now == wanted.states else None
        if made != wanted.after:
            found.append((MISREPORTED, "success without the package"))
        elif left_over(root):
            found.append((MISREPORTED, f"success with {left_over(root)} left over"))
        return found
    complete = now == wanted.states
    if command.replaces and not complete and now != wanted.before:
        found.append((LOST, "what was there before is gone"))
    if command.sent:
        return found + _again(command, root, wanted, complete=complete)
    twin = root.with_name(root.name + "-again")
    shutil.copytree(root, twin, symlinks=True)
    found += _recovered(command, root, wanted, finished, complete=complete)
    found += _again(command, twin, wanted, complete=complete)
    shutil.rmtree(twin)
    return found


def _recovered(
    command: Command, root: Path, wanted: Expected, finished: int, *, complete: bool
) -> list[tuple[str, str]]:
    """Recover, which has to bring back every finished frame."""
    path = root / PACKAGE
    begun = any((root / name / JOURNAL).exists() for name in (PACKAGE, PARTIAL))
    code = quiet(lambda: nmc.recover(path, key=_key_of(path)) and None)
    states = accepted(path)
    if isinstance(code, str):
        return [(UNRECOVERED, f"recover ends with {code}")]
    if complete:
        if states != wanted.states:
            return [(LOST, "recover broke a complete package")]
        return [(UNRECOVERED, f"{left_over(root)} left over")] if begun and left_over(root) else []
    if not command.counts:
        good = states in (None, wanted.before, wanted.states[: len(states or ())])
        return [] if good else [(UNRECOVERED, "recover made another package")]
    if finished == 0 and code:
        return []
    if code:
        return [(UNRECOVERED, f"recover refuses with {finished} frames finished")]
    if states is None or len(states) < finished or states != wanted.states[: len(states)]:
        return [(LOST, f"{finished} frames were finished, recover has {len(states or ())}")]
    if left_over(root):
        return [(UNRECOVERED, f"recover leaves {left_over(root)}")]
    return []


def _again(
    command: Command, root: Path, wanted: Expected, *, complete: bool
) -> list[tuple[str, str]]:
    """Carry the command out again, which ends as if nothing had happened."""
    if command.in_place and complete:
        return []  # its input is another one now
    code = quiet(lambda: command.again(root))
    if complete and code == 1:
        code = 0  # "it already exists": nothing is left to do
    if code:
        return [(UNRECOVERED, f"the command ends with {code} when it is repeated")]
    if accepted(root / PACKAGE) != wanted.states:
        return [(LOST, "the command makes another package when it is repeated")]
    if contents(root / PACKAGE, timed=command.timed) != wanted.after:
        return [(LOST, "the package has other bytes when the command is repeated")]
    return []


def ended(status: int) -> int:
    """Return the exit code of a process, negative for a signal."""
    return os.waitstatus_to_exitcode(status)
