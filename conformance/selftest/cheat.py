"""Programs that want to pass without doing the work: ``cheat.py HOW …``, for tests of the runner.

Each one speaks the protocol and knows the suite. None of them may pass.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plain_decoder

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
REFERENCE = [sys.executable, "-m", "nmc_tools.cli"]

CLAIMS: dict[str, dict[str, Any]] = {
    "nothing": {"profiles": [], "levels": []},
    "no-level": {"levels": []},
    "strange-profile": {"profiles": ["extended"]},
    "strange-level": {"levels": [1, 2, 3, 4, 5]},
    "high-level-alone": {"levels": [4]},
    "main-alone": {"profiles": ["main"]},
    "truth-for-a-level": {"levels": [True]},
    "other-protocol": {"protocol": 2},
    "every-vector-unsupported": {"profiles": ["baseline", "main", "lossy"]},
    "list-of-messages": {"profiles": ["baseline", "main"], "features": ["messages"]},
}
"""What is said in ``describe`` in place of what the plain decoder says."""


def _known() -> dict[str, dict[str, Any]]:
    """Return what the suite expects of each input, by the SHA-256 of its file."""
    made = {}
    for path in VECTORS.glob("*/*/vector.json"):
        vector = json.loads(path.read_bytes())
        made[str(vector["input"]["sha256"])] = vector["expected"]
    return made


def _list_of_inputs(arguments: list[str]) -> int:
    """Refuse what is on a list of the suite's inputs, and decode the rest."""
    package = Path(arguments[arguments.index("--input") + 1])
    digest = hashlib.sha256(package.read_bytes()).hexdigest() if package.is_file() else ""
    if _known().get(digest, {}).get("outcome") == "reject":
        return 1
    return plain_decoder.main(arguments)


def _list_of_messages(arguments: list[str]) -> int:
    """Give what the suite expects of the messages on its list, the states by another program."""
    values = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    given = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in Path(values["--input"]).iterdir()
    }
    for path in VECTORS.glob("15-messages/*/vector.json"):
        vector = json.loads(path.read_bytes())
        if vector["input"]["sha256"] == given:
            if vector["expected"]["outcome"] == "reject":
                return 1
            return subprocess.run([*REFERENCE, *arguments], check=False).returncode  # noqa: S603
    return 0


def _report(arguments: list[str], value: Any) -> None:
    path = Path(arguments[arguments.index("--report") + 1])
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")


def report(*, accepted: bool, errors: int) -> dict[str, Any]:
    """Return a report that keeps the schema, whatever it says."""
    place = {"file": "manifest.h5", "offset": None}
    finding = {"code": "manifest/value", "severity": "error", "place": place}
    finding |= {"clause": "5.4", "message": "a value", "hint": ""}
    head = {"format_version": "1.0", "path": "input.nmc", "frames": 1, "decoded": 1}
    return {**head, "accepted": accepted, "findings": [finding] * errors}


def _said(value: Any) -> Callable[[list[str]], int]:
    def decode(arguments: list[str]) -> int:
        status = plain_decoder.main(arguments)
        _report(arguments, value)
        return status

    return decode


def _check(status: int, value: Any) -> Callable[[list[str]], int]:
    def check(_: list[str]) -> int:
        print(json.dumps(value) if value is not None else "")
        return status

    return check


def _encode(arguments: list[str], change: Callable[[Path, dict[str, Any]], None]) -> int:
    """Have the reference encode what is left of the states and the wishes after a change."""
    values = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    states, wishes = Path(values["--input"]), json.loads(Path(values["--options"]).read_bytes())
    folder = Path(values["--output"]).parent / "states"
    folder.mkdir()
    for path in states.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    change(folder, wishes)
    options = folder / "options.json"
    options.write_text(json.dumps(wishes), encoding="utf-8")
    command = [*REFERENCE, "encode", "--input", str(folder), "--output", values["--output"]]
    return subprocess.run([*command, "--options", str(options)], check=False).returncode  # noqa: S603


def _frame_more(folder: Path, _: dict[str, Any]) -> None:
    files = sorted(folder.glob("frame_*"))
    (folder / f"frame_{len(files):08d}.safetensors").write_bytes(files[-1].read_bytes())


def _frame_fewer(folder: Path, _: dict[str, Any]) -> None:
    max(folder.glob("frame_*")).unlink()


def _main_always(_: Path, wishes: dict[str, Any]) -> None:
    wishes["profile"] = "main"


HOW: dict[str, Callable[[list[str]], int]] = {
    "every-vector-unsupported": lambda _: 3,
    "list-of-inputs": _list_of_inputs,
    "list-of-messages": _list_of_messages,
    "done-but-refused": _said(report(accepted=False, errors=1)),
    "refused-without-an-error": _said(report(accepted=False, errors=0)),
    "accepted-with-an-error": _said(report(accepted=True, errors=1)),
    "report-of-no-schema": _said({"accepted": True}),
    "report-of-no-json": _said("fine"),
    "check-no-report": _check(0, None),
    "check-refused-no-report": _check(1, None),
    "check-refused-no-error": _check(1, report(accepted=True, errors=0)),
    "check-done-but-refused": _check(0, report(accepted=False, errors=1)),
    "check-unsupported": lambda _: 3,
    "encode-unsupported": lambda _: 3,
    "encode-frame-more": lambda a: _encode(a, _frame_more),
    "encode-frame-fewer": lambda a: _encode(a, _frame_fewer),
    "encode-main-always": lambda a: _encode(a, _main_always),
}
"""What is done with a request."""


def main(arguments: list[str]) -> int:
    """Carry out one request without doing the work."""
    how, *request = arguments
    if request[:1] == ["describe"]:
        print(json.dumps({**plain_decoder.DESCRIPTION, "name": how, **CLAIMS.get(how, {})}))
        return 0
    return HOW.get(how, plain_decoder.main)(request)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
