"""Runs programs that may hang, flood, grow, crash or leave children behind, and survives them."""

from __future__ import annotations

import contextlib
import os
import resource
import secrets
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

TOKEN = "NMC_CONFORMANCE_RUN"  # noqa: S105 - no secret: it marks the processes of one run
_PROC = Path("/proc")
_POLL_SECONDS = 0.02
_LOOK_SECONDS = 0.1
_GRACE_SECONDS = 0.3
_TAIL_BYTES = 4000
_PAGE = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True)
class Limits:
    """What a program may use for one vector.

    Attributes
    ----------
    seconds : float
        Wall time.
    memory : int
        Bytes that its processes hold in memory together.
    output : int
        Bytes on stdout and stderr together.
    file : int
        Bytes of a file that it writes.
    """

    seconds: float = 30.0
    memory: int = 2 << 30
    output: int = 16 << 20
    file: int = 1 << 30


@dataclass(frozen=True)
class Ending:
    """How a program, or one answer of it, ended.

    Attributes
    ----------
    kind : str
        ``"exit"``, ``"signal"``, ``"timeout"``, ``"memory"``, ``"flood"`` or ``"missing"``.
    code : int
        Exit status or number of the signal.
    stdout : bytes
        What it printed.
    stderr : str
        The end of what it printed on stderr.
    seconds : float
        Wall time.
    leftovers : int
        Processes that it left running, which were ended.
    """

    kind: str
    code: int = 0
    stdout: bytes = b""
    stderr: str = ""
    seconds: float = 0.0
    leftovers: int = 0


def _session_of(pid: int) -> int:
    """Return the session of a process, 0 where it is gone or dead."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[3])


def _pids() -> list[int]:
    try:
        return [int(path.name) for path in _PROC.iterdir() if path.name.isdigit()]
    except OSError:
        return []


def _resident(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0


def _is_marked(pid: int, mark: bytes) -> bool:
    try:
        return mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


class Program:
    """One running program, with all processes that come from it.

    Parameters
    ----------
    command : sequence of str
        Program and arguments.
    cwd : Path
        Its working directory.
    limits : Limits
        What it may use.
    environment : mapping of str to str
        Added to the environment.
    """

    def __init__(
        self,
        command: Sequence[str],
        cwd: Path,
        limits: Limits,
        environment: Mapping[str, str],
        *,
        stdin: bool = False,
    ) -> None:
        self._limits = limits
        self._mark = secrets.token_hex(12)
        env = {**os.environ, **environment, TOKEN: self._mark}
        self._popen = subprocess.Popen(  # noqa: S603 - the program under test is the user's choice
            list(command),
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        with contextlib.suppress(OSError, ValueError, AttributeError):  # gone already, or no Linux
            resource.prlimit(self._popen.pid, resource.RLIMIT_FSIZE, (limits.file, limits.file))
            resource.prlimit(self._popen.pid, resource.RLIMIT_CORE, (0, 0))
        self._selector = selectors.DefaultSelector()
        self._streams: dict[int, bytearray] = {}
        for stream in (self._popen.stdout, self._popen.stderr):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ)
            self._streams[stream.fileno()] = bytearray()
        self._printed = 0
        self._looked = time.monotonic()
        self._handles: list[IO[bytes]] = [
            s for s in (self._popen.stdin, self._popen.stdout, self._popen.stderr) if s
        ]

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._popen.pid

    def _text(self, index: int) -> bytearray:
        return list(self._streams.values())[index]

    def _drain(self, wait: float) -> None:
        """Take what was printed, waiting a little for it."""
        for key, _ in self._selector.select(wait):
            stream = key.fileobj
            assert not isinstance(stream, int)
            try:
                data = os.read(stream.fileno(), 1 << 16)
            except BlockingIOError:
                continue
            if not data:
                self._selector.unregister(stream)
                continue
            self._printed += len(data)
            kept = self._streams[stream.fileno()]
            kept += data
            if stream is self._popen.stderr:
                del kept[:-_TAIL_BYTES]

    def _members(self) -> list[int]:
        return [pid for pid in _pids() if _session_of(pid) == self.pid]

    def _violation(self, started: float, seconds: float) -> str:
        """Return the limit that is exceeded now, or an empty text."""
        now = time.monotonic()
        if now - started > seconds:
            return "timeout"
        if self._printed > self._limits.output:
            return "flood"
        if now - self._looked > _LOOK_SECONDS:
            self._looked = now
            if sum(map(_resident, self._members())) > self._limits.memory:
                return "memory"
        return ""

    def _watch(self, done: Callable[[], bool], seconds: float) -> str:
        """Wait until something is done; return the limit that was exceeded, or an empty text."""
        started = time.monotonic()
        while not done():
            if self._selector.get_map():
                self._drain(_POLL_SECONDS)
            else:
                time.sleep(_POLL_SECONDS)
            if kind := self._violation(started, seconds):
                return kind
        return ""

    def finish(self) -> Ending:
        """Wait for the end of the program, and end what it leaves behind."""
        started = time.monotonic()
        kind = self._watch(lambda: self._popen.poll() is not None, self._limits.seconds)
        seconds = time.monotonic() - started
        deadline = time.monotonic() + _GRACE_SECONDS
        while not kind and self._selector.get_map() and time.monotonic() < deadline:
            self._drain(_POLL_SECONDS)
            if self._printed > self._limits.output:
                kind = "flood"
        leftovers = self.end()
        code = self._popen.returncode
        if not kind:
            kind = "signal" if code < 0 else "exit"
        return Ending(
            kind,
            abs(code),
            bytes(self._text(0)),
            self._text(1).decode("utf-8", "replace"),
            seconds,
            0 if kind in {"timeout", "memory", "flood"} else leftovers,
        )

    def ask(self, line: bytes, limit: float) -> Ending:
        """Send one line to a persistent program, and wait for one line of it.

        Parameters
        ----------
        line : bytes
            The request.
        limit : float
            Seconds that the answer may take.

        Returns
        -------
        Ending
            Of kind ``"exit"`` with the line as stdout; else of the end of the program.
        """
        answer = self._text(0)
        del answer[:]
        self._printed = 0
        started = time.monotonic()
        try:
            assert self._popen.stdin is not None
            self._popen.stdin.write(line)
            self._popen.stdin.flush()
        except OSError:
            return replace(self.finish(), kind="signal")
        kind = self._watch(lambda: b"\n" in answer or self._popen.poll() is not None, limit)
        seconds = time.monotonic() - started
        if not kind and self._popen.poll() is not None and b"\n" not in answer:
            while self._selector.get_map() and b"\n" not in answer:
                before = self._printed
                self._drain(_POLL_SECONDS)
                if self._printed == before:
                    break
        if not kind and b"\n" in answer:
            return Ending("exit", 0, bytes(answer), "", seconds)
        ending = self.finish() if not kind else None
        if ending is not None:
            return replace(ending, kind="signal", seconds=seconds)
        self.end()
        return Ending(kind, 0, b"", self._text(1).decode("utf-8", "replace"), seconds)

    def hang_up(self) -> Ending:
        """Close the input of a persistent program and wait for its end."""
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):
            self._popen.stdin.close()
        return self.finish()

    def end(self) -> int:
        """End every process that comes from the program; return how many outlived it."""
        outlived = 0
        for attempt in range(5):
            mark = f"{TOKEN}={self._mark}".encode()
            alive = [
                pid
                for pid in _pids()
                if pid != os.getpid()
                and (_session_of(pid) == self.pid or (_session_of(pid) and _is_marked(pid, mark)))
            ]
            if attempt == 0:
                outlived = len([pid for pid in alive if pid != self.pid])
            for pid in alive:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if self._popen.poll() is None:
                with contextlib.suppress(OSError):
                    self._popen.kill()
            elif not alive:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(timeout=1)
        self._popen.wait()
        self._selector.close()
        for handle in self._handles:
            with contextlib.suppress(OSError):
                handle.close()
        return outlived


def run(
    command: Sequence[str], cwd: Path, limits: Limits, environment: Mapping[str, str]
) -> Ending:
    """Run a program to its end.

    Returns
    -------
    Ending
        Of kind ``"missing"`` where it cannot be started.
    """
    try:
        program = Program(command, cwd, limits, environment)
    except OSError as error:
        return Ending("missing", stderr=f"{command[0]}: {error.strerror}")
    return program.finish()
