"""Decoders that are wrong on purpose, for the tests of the runner: ``wrong_decoder.py FAULT …``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import plain_decoder

if TYPE_CHECKING:
    from collections.abc import Callable

LONG = 600
"""Seconds that no run waits."""


def _hang(_: list[str]) -> int:
    time.sleep(LONG)
    return 0


def _stubborn(_: list[str]) -> int:
    """Hang without heeding a request to end."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return _hang([])


def _crash(_: list[str]) -> int:
    os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def _exit_code(_: list[str]) -> int:
    return 70


def _flood(_: list[str]) -> int:
    block = b"x" * (1 << 16)
    while True:
        sys.stdout.buffer.write(block)


def _memory(_: list[str]) -> int:
    held = []
    while True:
        held.append(bytearray(os.urandom(1 << 20) * 16))


def _reject_all(_: list[str]) -> int:
    return 1


def _unsupported_all(_: list[str]) -> int:
    return 3


def _nothing(_: list[str]) -> int:
    """Say that everything was decoded, and write nothing."""
    return 0


def _truncated(arguments: list[str]) -> int:
    status = plain_decoder.main(arguments)
    for path in _output(arguments).iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    return status


def _outside(arguments: list[str]) -> int:
    (_output(arguments).parent / "cache.bin").write_bytes(b"mine")
    return plain_decoder.main(arguments)


def _input_changed(arguments: list[str]) -> int:
    status = plain_decoder.main(arguments)
    package = Path(arguments[arguments.index("--input") + 1])
    if package.is_file():
        package.write_bytes(package.read_bytes() + b"\0")
    else:
        (package / "cache.bin").write_bytes(b"mine")
    return status


def _children(arguments: list[str]) -> int:
    """Leave a process behind, in a session of its own and with its output elsewhere."""
    subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", f"import time; time.sleep({LONG})"],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    return plain_decoder.main(arguments)


def _surplus(arguments: list[str]) -> int:
    status = plain_decoder.main(arguments)
    (_output(arguments) / "frame_99999999.safetensors").write_bytes(b"")
    return status


def _output(arguments: list[str]) -> Path:
    return Path(arguments[arguments.index("--output") + 1])


BEHAVIOURS: dict[str, Callable[[list[str]], int]] = {
    "hang": _hang,
    "stubborn": _stubborn,
    "crash": _crash,
    "exit-code": _exit_code,
    "flood": _flood,
    "memory": _memory,
    "reject-all": _reject_all,
    "unsupported-all": _unsupported_all,
    "nothing": _nothing,
    "truncated": _truncated,
    "outside": _outside,
    "input-changed": _input_changed,
    "children": _children,
    "surplus": _surplus,
}
"""Faults of behaviour. Those of arithmetic and checks are in ``plain_decoder``."""


def main(arguments: list[str]) -> int:
    """Carry out one request, wrongly."""
    fault, *request = arguments
    if request[:1] == ["describe"] or fault not in BEHAVIOURS:
        return plain_decoder.main(request, fault)
    return BEHAVIOURS[fault](request)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
