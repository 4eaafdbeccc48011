"""``nmc describe``, ``decode``, ``apply``, ``encode``: the protocol of the conformance suite.

Any implementation offers these commands (``conformance/PROTOCOL.md``). Exit codes: 0 done, 1 the
package is rejected, 2 wrong usage, 3 not supported.
"""

from __future__ import annotations

import json
import re
import sys
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import nmc
import nmc_spec
from nmc_format.issues import Finding, FormatError
from nmc_format.report import Report
from nmc_tools.checkpoints.checkpoint import Refusal
from nmc_tools.checkpoints.safetensors_files import read_safetensors, write_safetensors

if TYPE_CHECKING:
    from collections.abc import Sequence

FEATURES = (
    "check",
    "encode",
    "encryption",
    "hdf5",
    "max-level",
    "messages",
    "serve",
    "signatures",
)
"""What this implementation has beyond the least; the names are those of the protocol."""

_MESSAGE_FILE = "message_{:08d}"
"""Messages in a folder, in the order in which they are applied."""

_FRAME_FILE = re.compile(r"frame_([0-9]{8})\.safetensors")

_OPTIONS = ("profile", "entropy", "effort", "key_every", "key_frames", "directory")


class Outcome(IntEnum):
    """Exit codes of the protocol."""

    DONE = 0
    REJECTED = 1
    USAGE = 2
    UNSUPPORTED = 3


class UsageError(Exception):
    """A request that makes no sense whatever the package is."""


def description() -> dict[str, Any]:
    """Return what this implementation says of itself."""
    return {
        "protocol": 1,
        "name": "nmc",
        "version": nmc.__version__,
        "format_version": nmc_spec.FORMAT_VERSIONS[-1],
        "profiles": sorted(nmc_spec.profiles()),
        "levels": [level.level for level in nmc_spec.levels()],
        "features": list(FEATURES),
    }


def run_decode(
    package: Path,
    frames: list[int],
    output: Path,
    max_level: int,
    signed_by: Sequence[bytes] = (),
    key: bytes | None = None,
) -> tuple[Outcome, Report]:
    """Decode frames into one safetensors file each.

    Parameters
    ----------
    package : Path
        The package.
    frames : list of int
        Frames, in the order in which they are decoded.
    output : Path
        Folder of the files.
    max_level : int
        Highest level that is accepted (clause 10.2).
    signed_by : sequence of bytes
        Keys that are demanded (clause 13.2.2).
    key : bytes or None
        Key of encrypted segments (clause 14.2.1).

    Returns
    -------
    Outcome, Report
        Whether it was decoded, and the finding that says why not.

    Raises
    ------
    UsageError
        If a frame is not there.
    """
    count = done = 0
    findings: tuple[Finding, ...] = ()
    outcome = Outcome.DONE
    output.mkdir(parents=True, exist_ok=True)
    try:
        with nmc.open(
            package, max_level=max_level, require_signature=signed_by, key=key
        ) as sequence:
            count = len(sequence)
            for t in frames:
                if not 0 <= t < count:
                    raise UsageError(f"frame {t}: the frames are 0 to {count - 1}")
                _write_frame(output, t, sequence[t])
                done += 1
    except FormatError as error:
        findings = (error.finding,)
        unsupported = error.finding.code == "input/unsupported"
        outcome = Outcome.UNSUPPORTED if unsupported else Outcome.REJECTED
    return outcome, Report(str(package), count, done, findings)


def run_apply(
    folder: Path, frames: list[int], output: Path, max_level: int
) -> tuple[Outcome, Report]:
    """Apply messages one after the other, and write the states that they make (clause 15).

    Parameters
    ----------
    folder : Path
        Files ``message_00000000`` and so on.
    frames : list of int
        Messages whose states are written.
    output : Path
        Folder of the files.
    max_level : int
        Highest level that is accepted (clause 10.2).

    Returns
    -------
    Outcome, Report
        Whether all were applied, and the finding that says why not; as many were applied before it
        as the report has decoded.

    Raises
    ------
    UsageError
        If a message is not there.
    """
    done = 0
    findings: tuple[Finding, ...] = ()
    outcome = Outcome.DONE
    output.mkdir(parents=True, exist_ok=True)
    receiver = nmc.Receiver(max_level=max_level)
    last = max(frames)
    try:
        for t in range(last + 1):
            path = folder / _MESSAGE_FILE.format(t)
            if not path.is_file():
                raise UsageError(f"{path}: there is no such message")
            state = receiver.receive(path.read_bytes())
            if t in frames:
                _write_frame(output, t, state)
            done += 1
    except FormatError as error:
        findings = (error.finding,)
        outcome = Outcome.REJECTED
    return outcome, Report(str(folder), last + 1, done, findings)


def _write_frame(output: Path, t: int, state: Any) -> None:
    with (output / f"frame_{t:08d}.safetensors").open("wb") as file:
        write_safetensors(file, state, None)


def run_encode(folder: Path, package: Path, options: dict[str, Any]) -> None:
    """Make a package of the states in a folder.

    Parameters
    ----------
    folder : Path
        Files ``frame_00000000.safetensors`` and so on, without gaps.
    package : Path
        The package to write.
    options : dict
        Wishes of the caller: ``profile``, ``key_every``, ``key_frames``, ``directory``,
        ``entropy``, ``effort``. Others are ignored.

    Raises
    ------
    UsageError
        If the folder holds no such files, or an option has no such value.
    """
    numbers = sorted(
        int(match[1]) for path in folder.iterdir() if (match := _FRAME_FILE.fullmatch(path.name))
    )
    if not numbers or numbers != list(range(len(numbers))):
        raise UsageError(f"{folder}: expected frame_00000000.safetensors and so on, without gaps")
    wishes = {name: options[name] for name in _OPTIONS if name in options}
    try:
        with nmc.Writer(package, overwrite=True, **wishes) as writer:
            for t in numbers:
                path = folder / f"frame_{t:08d}.safetensors"
                with path.open("rb") as file:
                    writer.append(read_safetensors(path, file).state)
    except (Refusal, TypeError, ValueError) as error:
        raise UsageError(str(error)) from None


def describe() -> None:
    """Print what this implementation can do, as JSON (conformance protocol).

    Examples
    --------
      nmc describe
    """
    _print(description())


def decode(
    package: Annotated[Path, typer.Option("--input", help="The package.")],
    frames: Annotated[str, typer.Option(help="Frames, such as 0,1,2.")],
    output: Annotated[Path, typer.Option("--output", help="Folder for the files.")],
    report: Annotated[Path | None, typer.Option(help="Where a JSON report goes.")] = None,
    max_level: Annotated[
        int, typer.Option("--max-level", min=1, help="Reject packages of a higher level.")
    ] = 4,
    signed_by: Annotated[
        str, typer.Option("--signed-by", help="Public keys that have to have signed, in base 16.")
    ] = "",
    key: Annotated[str, typer.Option("--key", help="Key of encrypted segments, in base 16.")] = "",
) -> None:
    """Decode frames of a package, one safetensors file each (conformance protocol).

    Exit codes: 0 decoded, 1 rejected, 2 usage, 3 not supported.

    Examples
    --------
      nmc decode --input scene.nmc --frames 0,1,2 --output out/ --report report.json
    """
    try:
        keys = keys_of(signed_by.split(",") if signed_by else ())
        secret = keys_of([key])[0] if key else None
        outcome, made = run_decode(package, _frame_list(frames), output, max_level, keys, secret)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None
    _end(outcome, made, report)


def apply(
    folder: Annotated[Path, typer.Option("--input", help="Folder of message_NNNNNNNN.")],
    frames: Annotated[str, typer.Option(help="Messages whose states are written, such as 0,2.")],
    output: Annotated[Path, typer.Option("--output", help="Folder for the files.")],
    report: Annotated[Path | None, typer.Option(help="Where a JSON report goes.")] = None,
    max_level: Annotated[
        int, typer.Option("--max-level", min=1, help="Reject messages beyond this level.")
    ] = 4,
) -> None:
    """Apply messages, one safetensors file for each state (conformance protocol).

    Exit codes: 0 applied, 1 rejected, 2 usage, 3 not supported.

    Examples
    --------
      nmc apply --input messages/ --frames 0,1,2 --output out/ --report report.json
    """
    try:
        outcome, made = run_apply(folder, _frame_list(frames), output, max_level)
    except UsageError as error:
        raise typer.BadParameter(str(error)) from None
    _end(outcome, made, report)


def _end(outcome: Outcome, made: Report, report: Path | None) -> None:
    if report is not None:
        report.write_text(json.dumps(made.to_json(), indent=2) + "\n", encoding="utf-8")
    for found in made.findings:
        typer.echo(str(found), err=True)
    raise typer.Exit(outcome)


def encode(
    folder: Annotated[Path, typer.Option("--input", help="Folder of frame_NNNNNNNN.safetensors.")],
    package: Annotated[Path, typer.Option("--output", help="The package to write.")],
    options: Annotated[Path | None, typer.Option(help="JSON object of wishes.")] = None,
) -> None:
    """Make a package of safetensors files, one for each frame (conformance protocol).

    Exit codes: 0 encoded, 1 the states cannot be stored, 2 usage.

    Examples
    --------
      nmc encode --input states/ --output scene.nmc --options options.json
    """
    try:
        wishes = {} if options is None else json.loads(options.read_bytes())
        run_encode(folder, package, wishes)
    except (OSError, UsageError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None


def serve() -> None:
    """Answer requests, one JSON object a line, until the input ends (conformance protocol).

    Examples
    --------
      nmc serve < requests.ndjson
    """
    for line in sys.stdin:
        if not line.strip():
            continue
        try:
            answer = _answer(json.loads(line))
        except (KeyError, TypeError, ValueError, UsageError, OSError) as error:
            answer = {"exit": int(Outcome.USAGE), "message": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    """Carry out one request of the persistent mode."""
    what = request["do"]
    if what == "describe":
        return {"exit": 0, "description": description()}
    if what == "decode":
        outcome, report = run_decode(
            Path(request["input"]),
            [int(t) for t in request["frames"]],
            Path(request["output"]),
            int(request.get("max_level", 4)),
            keys_of(request.get("signed_by", ())),
            keys_of([request["key"]])[0] if "key" in request else None,
        )
        return {"exit": int(outcome), "report": report.to_json()}
    if what == "apply":
        outcome, report = run_apply(
            Path(request["input"]),
            [int(t) for t in request["frames"]],
            Path(request["output"]),
            int(request.get("max_level", 4)),
        )
        return {"exit": int(outcome), "report": report.to_json()}
    if what == "check":
        report = nmc.check(request["input"], max_level=int(request.get("max_level", 4)))
        return {"exit": int(not report.accepted), "report": report.to_json()}
    if what == "encode":
        try:
            run_encode(
                Path(request["input"]), Path(request["output"]), request.get("options") or {}
            )
        except FormatError as error:
            return {"exit": int(Outcome.REJECTED), "message": str(error)}
        return {"exit": 0}
    raise UsageError(f"cannot do {what!r}")


def keys_of(digits: Sequence[str]) -> list[bytes]:
    """Return public keys that a request names in base 16.

    Raises
    ------
    UsageError
        If one is none.
    """
    if not all(re.fullmatch("[0-9a-f]{64}", key) for key in digits):
        raise UsageError("a key is 64 digits of base 16, in lower case")
    return [bytes.fromhex(key) for key in digits]


def _frame_list(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--frames {text!r}: expected numbers with commas between them") from None


def _print(value: dict[str, Any]) -> None:
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")
