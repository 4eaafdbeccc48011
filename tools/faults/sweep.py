"""Makes every system call fail by which a command writes, one at a time, and judges what is left.

Every write, fsync, rename, close, creation and removal of each command that writes, in both forms:
it fails with EIO or ENOSPC, takes half its bytes, or is interrupted; the process is killed there;
or the disk is full from there on. Needs a C compiler; prints a table, and exits with 1 for a fault.
A command that was tried to its end is noted, and is not tried again while no source has changed.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import mmap
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODES = {
    "EIO": 1,
    "ENOSPC": 2,
    "half": 3,
    "killed": 4,
    "full": 5,
    "interrupted": 6,
    "EINTR": 7,
}
_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a disk is slow
_LOADED = "NMC_FAULTS_SHIM"
_SECONDS = 120


def load_shim() -> None:
    """Compile the shim, and start this program again with it loaded before the C library."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        print("the sweep needs Linux and a C compiler", file=sys.stderr)
        raise SystemExit(2)
    folder = tempfile.mkdtemp(prefix="nmc-faults-")
    shim = Path(folder) / "shim.so"
    flags = ["-shared", "-fPIC", "-O1", "-o", str(shim)]
    subprocess.run([compiler, *flags, str(HERE / "shim.c"), "-ldl"], check=True)  # noqa: S603
    environment = {**os.environ, "LD_PRELOAD": str(shim), _LOADED: folder}
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606


class Shim:
    """The library that makes calls fail in this process and its children."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._arm, self._disarm = library.faults_arm, library.faults_disarm
        self._arm.argtypes = (ctypes.c_char_p, ctypes.c_long, ctypes.c_int)
        self._disarm.restype = ctypes.c_long
        self._shared = mmap.mmap(-1, 16)

    def run(
        self, command: Command | FileCommand, root: Path, at: int, mode: int
    ) -> tuple[int | str, int, int]:
        """Carry a command out in a child; return its code, its finished frames and its calls."""
        self._shared[:16] = bytes(16)
        child = os.fork()
        if child == 0:
            os._exit(self._child(command, root, at, mode))
        limit = time.monotonic() + _SECONDS
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() > limit:
                os.kill(child, 9)
                os.waitpid(child, 0)
                return "no end", 0, 0
            time.sleep(0.002)
        finished = int.from_bytes(self._shared[:8], "little")
        calls = int.from_bytes(self._shared[8:16], "little")
        code = ended(status)
        return ("an exception" if code == _RAISED else code), finished, calls

    def _child(self, command: Command | FileCommand, root: Path, at: int, mode: int) -> int:
        os.setpgid(0, 0)
        null = os.open(os.devnull, os.O_RDWR)
        for handle in (1, 2):
            os.dup2(null, handle)
        self._count_frames(synced=isinstance(command, Command) and command.synced)
        self._arm(os.fsencode(root), at, mode)
        try:
            code = _code(command, root)
        finally:
            calls = self._disarm()
        self._shared[8:16] = int(calls).to_bytes(8, "little")
        return code

    def _count_frames(self, *, synced: bool) -> None:
        real, sync = journal.Journal.append, unfinished.Unfinished.sync
        shared = self._shared

        def count(log: journal.Journal) -> None:
            shared[:8] = len(log.content.entries).to_bytes(8, "little")

        def waited(self: unfinished.Unfinished, log: journal.Journal) -> None:
            sync(self, log)
            count(log)

        def append(self: journal.Journal, entry: journal.FrameEntry) -> None:
            real(self, entry)
            count(self)

        if synced:
            unfinished.Unfinished.sync = waited  # type: ignore[method-assign]
        else:
            journal.Journal.append = append  # type: ignore[method-assign]


_RAISED = 99


def _code(command: Command | FileCommand, root: Path) -> int:
    try:
        command.run(root)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    except nmc.FormatError:
        return 1
    except KeyboardInterrupt:
        return 130
    except BaseException:
        return _RAISED
    return 0


def sweep(command: Command | FileCommand, shim: Shim, scratch: Path, every: int) -> Tally:
    """Try every fault of one command."""
    template = scratch / "template"
    template.mkdir()
    command.prepare(template)
    judged = _judge_of(command, template, scratch)
    root = scratch / "root"
    tally = Tally()
    shutil.copytree(template, root, symlinks=True)
    _, _, calls = shim.run(command, root, -1, 0)
    shutil.rmtree(root)
    for name, mode in MODES.items():
        for at in range(0, calls, every):
            shutil.copytree(template, root, symlinks=True)
            code, finished, _ = shim.run(command, root, at, mode)
            tally.tried += 1
            for kind, what in judged(root, code, finished):
                tally.faults[kind].append(f"{name} at call {at} of {calls} (exit {code}): {what}")
            shutil.rmtree(root)
    shutil.rmtree(template)
    return tally


def _judge_of(
    command: Command | FileCommand, template: Path, scratch: Path
) -> Callable[[Path, int | str, int], list[tuple[str, str]]]:
    """Carry a command out without faults; return what judges it with one."""
    if isinstance(command, FileCommand):
        made = expected_files(command, template, scratch)
        return lambda root, code, _: judge_files(command, root, made, code)
    wanted = expected(command, template, scratch)
    before = _frames_before(template)
    return lambda root, code, done: judge(command, root, wanted, code, max(before, done))


def _frames_before(template: Path) -> int:
    return BEFORE if any(template.glob("x.nmc*/journal.ndjson")) else 0


def warm() -> None:
    """Load what all commands load, so that not every child does it."""
    with tempfile.TemporaryDirectory(prefix="nmc-faults-", dir=_MEMORY) as folder:
        first = all_commands()[0]
        first.prepare(Path(folder))
        quiet(lambda: first.run(Path(folder)))
        nmc.check(Path(folder) / PACKAGE)


def mark(every: int) -> str:
    """Return what a noted command was tried with: the source of all floors, and the step."""
    found = hashlib.sha256(str(every).encode())
    for floor, kind in (("format", "py"), ("reference", "py"), ("tools", "py"), ("spec", "toml")):
        for path in sorted((HERE.parents[1] / floor).rglob(f"*.{kind}")):
            found.update(path.read_bytes())
    found.update((HERE / "shim.c").read_bytes())
    return found.hexdigest()


def tried(title: str, every: int, notes: Path | None) -> Tally:
    """Sweep over the command of a title, or return what is noted of it."""
    note = None if notes is None else notes / f"{title.replace(' ', '-').replace('/', '-')}.json"
    source = mark(every)
    if note is not None and note.exists():
        kept = json.loads(note.read_text())
        if kept["mark"] == source:
            return Tally(kept["tried"], kept["faults"])
    command = next(c for c in everything() if c.title == title)
    with tempfile.TemporaryDirectory(prefix="nmc-faults-", dir=_MEMORY) as scratch:
        tally = sweep(command, Shim(), Path(scratch), every)
    if note is not None:
        note.parent.mkdir(parents=True, exist_ok=True)
        text = {"mark": source, "tried": tally.tried, "faults": tally.faults}
        note.write_text(json.dumps(text, indent=1) + "\n")
    return tally


def everything() -> list[Command | FileCommand]:
    """Return every command that writes."""
    return [*all_commands(), *all_file_commands()]


def main() -> int:
    """Sweep over all commands and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("select", nargs="*", help="parts of the names of commands; all if none")
    parser.add_argument("--every", type=int, default=1, help="every so many calls only")
    parser.add_argument("--jobs", type=int, default=1, help="commands at once")
    parser.add_argument("--notes", type=Path, help="where finished commands are noted: goes on")
    parser.add_argument("--into", type=Path, help="put the table between the marks of a file")
    options = parser.parse_args()
    unfinished.SYNC_SECONDS = 0  # at every frame, so that each call is there in every run
    warm()
    commands = [
        command
        for command in everything()
        if not options.select or any(part in command.title for part in options.select)
    ]
    rows = [
        "| command | form | tried | frames lost | wrongly reported | recover failed |",
        "|---|---|---:|---:|---:|---:|",
    ]
    print("\n".join(rows), flush=True)
    carried_out = partial(tried, every=options.every, notes=options.notes)
    failed, count = False, 0
    context = multiprocessing.get_context("fork")  # the library that makes calls fail stays loaded
    with ProcessPoolExecutor(options.jobs, context) as pool:
        tallies = pool.map(carried_out, [command.title for command in commands])
        for command, tally in zip(commands, tallies, strict=True):
            counts = " | ".join(str(len(found)) for found in tally.faults.values())
            form = "directory" if command.directory else "file"
            rows.append(f"| {command.name} | {form} | {tally.tried} | {counts} |")
            print(rows[-1], flush=True)
            count += tally.tried
            for kind, found in tally.faults.items():
                failed |= bool(found)
                for what in found:
                    print(f"{command.title}: {kind}: {what}", file=sys.stderr, flush=True)
    print(f"{count:,} faults of {len(commands)} commands")
    if options.into is not None:
        put_into(options.into, "faults", "\n".join(rows) + "\n")
    return int(failed)


if __name__ == "__main__" and _LOADED not in os.environ:
    load_shim()

sys.path.insert(0, str(HERE))
from commands import BEFORE, Command  # noqa: E402
from every_command import all_commands, all_file_commands  # noqa: E402
from file_commands import FileCommand  # noqa: E402
from file_judging import expected_files, judge_files  # noqa: E402
from judging import PACKAGE, Tally, ended, expected, judge, quiet  # noqa: E402

import nmc  # noqa: E402
from nmc.writing import journal, unfinished  # noqa: E402
from nmc_tools.bench.published import put_into  # noqa: E402

if __name__ == "__main__":
    folder = os.environ.pop(_LOADED)
    os.environ.pop("LD_PRELOAD")
    try:
        raise SystemExit(main())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
