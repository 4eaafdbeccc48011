"""``nmc check``: everything that is wrong with a package."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import nmc
from nmc.reading.check import verified
from nmc.reading.declared import declared_psnr, seen_frames
from nmc.reading.keys import PublicKey
from nmc.reading.manifest import DEFAULT_MAX_LEVEL
from nmc_format.issues import first_error
from nmc_format.report import Report
from nmc_tools.checkpoints import Keep
from nmc_tools.commands.against import Compared, compared, originals_of, worst_of
from nmc_tools.commands.lossy_options import psnr_text
from nmc_tools.commands.seen_steps import renderer_of
from nmc_tools.commands.shared_options import (
    DecryptKeyOption,
    JobsOption,
    JsonOption,
    MaxLevelOption,
    path_or_address,
)
from nmc_tools.commands.signature_facts import signature_facts
from nmc_tools.terminal import (
    Exit,
    counted,
    err,
    note,
    print_finding,
    print_json,
    printable,
    progress_bar,
    refuse_input,
    say,
    warn_error,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_FAULTS_SHOWN = 20


def check(
    packages: Annotated[
        list[Any],
        typer.Argument(
            metavar="PKG…",
            help="Packages: .nmc files or directories, or addresses: https://…, s3://…",
            parser=path_or_address,
        ),
    ],
    decode: Annotated[
        bool, typer.Option(help="Decode every frame and compare it with its digest.")
    ] = True,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGINAL",
            help="Compare with what it was made from: a package, checkpoints, a folder or a glob; "
            "may be repeated.",
        ),
    ] = None,
    pictures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Draw some frames of both side by side; needs cameras."
        ),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(help="Where the weights are in the originals, as for nmc pack."),
    ] = None,
    keep: Annotated[Keep, typer.Option(help="What to read of the originals.")] = "weights",
    signed_by: Annotated[
        list[Path] | None,
        typer.Option(metavar="KEY", help="A public key that must have signed, as for nmc verify."),
    ] = None,
    decrypt_key: DecryptKeyOption = None,
    max_level: MaxLevelOption = DEFAULT_MAX_LEVEL,
    jobs: JobsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check packages: structure, integrity, every decoded state, and what was frozen.

    All findings are printed, each with its code and its place. Exit code 1 if one is an error,
    if there is nothing to check, or if frames are encrypted and no key is given; everything else
    is checked all the same. With --against, no element may be farther from its original than its
    declared error, at any stop, and a lossless tensor must equal its original bit for bit. A
    declared PSNR is measured again where the package has cameras that see its model.

    Examples
    --------
      nmc check scene.nmc

      nmc check scene.nmc --json | jq '.findings[].code'

      nmc check https://example.org/scene.nmc

      nmc check lossy.nmc --against run/

      nmc check lossy.nmc --against scene.nmc --pictures seen/

      nmc check lossy.nmc --against scene.nmc --json | jq '.against.worst'
    """
    if against and len(packages) > 1:
        raise typer.BadParameter(
            "only one package can be compared at a time", param_hint="--against"
        )
    if pictures is not None and not against:
        raise typer.BadParameter("it needs --against", param_hint="--pictures")
    if key and not against:
        raise typer.BadParameter(
            "it says where the weights are in the originals of --against; the key of an encrypted "
            "package is --decrypt-key, that of a signer --signed-by",
            param_hint="--key",
        )
    reports, listed = [], []
    for package in packages:
        with progress_bar(f"checking {package.name}") as progress:
            report, signatures = verified(
                package,
                signed_by or (),
                decode=decode,
                max_level=max_level,
                threads=jobs,
                progress=progress,
                key=decrypt_key,
            )
        reports.append(report)
        listed.append(signature_facts(signatures, report.findings))
        if as_json:
            continue
        for found in report.findings:
            if len(packages) > 1:
                err.print(f"{printable(report.path)}: ", end="", markup=False)
            print_finding(found)
        for made in signatures:
            said = made.statement
            who = f"{PublicKey(made.key).fingerprint}, who says: {said.signer or 'nothing'}"
            say(f"{report.path}: signed by {who}, {said.time}")
        say(f"{report.path}: {_verdict(report)}")
    holds, document = True, None
    if against and reports[0].accepted:
        holds, document = _against(packages[0], against, key or [], keep, as_json=as_json)
    if against and document is not None:
        holds &= _seen(packages[0], against, key or [], keep, document, as_json=as_json)
    if pictures is not None and against and document is not None:
        document["fidelity"] = _draw(
            packages[0], against, key or [], keep, pictures, as_json=as_json
        )
    if as_json:
        pairs = zip(reports, listed, strict=True)
        documents = [{**report.to_json(), "signatures": facts} for report, facts in pairs]
        print_json(_document(documents, document, against=bool(against)))
    if not holds or not all(map(_is_sure, reports)):
        raise typer.Exit(Exit.REFUSED)


def _draw(
    package: Path, paths: list[str], keys: list[str], keep: Keep, folder: Path, *, as_json: bool
) -> dict[int, float | None]:
    """Draw some frames of both; return the PSNR between renderings, None where they are equal."""
    from nmc_tools.commands.framework import cameras_in, framework, require_folder

    require_folder(folder)
    with nmc.open(package, max_level=4) as sequence, originals_of(paths, keys, keep) as originals:
        if sequence.cameras is None:
            refuse_input(
                "input/unsupported",
                str(package),
                "it has no cameras, from which pictures could be drawn",
                "leave out --pictures, or take a package with cameras, as nmc train makes them",
            )
        with framework(package, folder):
            from nmc_framework.evaluation.beside import pictures_beside

            path, fidelity = pictures_beside(sequence, originals, cameras_in(sequence), folder)
    if not as_json:
        for t, decibels in fidelity.items():
            say(f"between renderings, frame {t}: {decibels:.2f} dB")
        say(f"{path}: lossless, lossy, and the difference")
    return {t: d if math.isfinite(d) else None for t, d in fidelity.items()}


def _seen(
    package: Path,
    paths: list[str],
    keys: list[str],
    keep: Keep,
    document: dict[str, Any],
    *,
    as_json: bool,
) -> bool:
    """Measure the frames that declare a PSNR; return whether they are as near as they say."""
    with nmc.open(package, max_level=4) as sequence, originals_of(paths, keys, keep) as originals:
        stops = range(sequence.stops)
        if all(declared_psnr(f, stop) is None for f in sequence.frames for stop in stops):
            return True
        distortion = renderer_of(sequence)
        if distortion is None:
            note("the declared PSNR is not verified: nothing here renders what the package holds")
            return True
        with progress_bar(f"rendering {package.name}") as progress:
            frames = []
            for stop in stops:
                with nmc.open(package, max_level=4, stop=stop) as at_stop:
                    for seen in seen_frames(at_stop, originals, distortion):
                        frames.append(seen)
                        done = stop * len(sequence) + seen.frame + 1
                        progress(done, len(stops) * len(sequence))
    document["psnr"] = [
        {
            "frame": seen.frame,
            "stop": seen.stop,
            "declared": seen.declared,
            "measured": seen.measured if math.isfinite(seen.measured) else None,
        }
        for seen in frames
    ]
    wrong = [seen for seen in frames if not seen.holds]
    document["holds"] &= not wrong
    if as_json:
        return not wrong
    for seen in wrong[:_FAULTS_SHOWN]:
        warn_error(
            f"{_place(seen.frame, seen.stop)}: a PSNR of {seen.measured:.2f} dB, "
            f"less than the declared {seen.declared:.2f} dB"
        )
    if frames and not wrong:
        least = min(frames, key=lambda seen: seen.measured)
        say(
            f"{package}: every declared PSNR holds; the least is "
            f"{psnr_text(least.measured)}, in {_place(least.frame, least.stop)}"
        )
    return not wrong


def _document(reports: list[Any], compared: Any, *, against: bool) -> Any:
    if against:
        return {"report": reports[0], "against": compared}
    return reports[0] if len(reports) == 1 else reports


def _against(
    package: Path, paths: list[str], keys: list[str], keep: Keep, *, as_json: bool
) -> tuple[bool, dict[str, Any]]:
    """Compare a package with its originals; return whether all is as it says, and all facts."""
    facts: list[Compared] = []
    with nmc.open(package, max_level=4) as sequence, originals_of(paths, keys, keep) as originals:
        frames, given, stops = len(sequence), len(originals), sequence.stops
        both = min(frames, given)
        with progress_bar(f"comparing {package.name}") as progress:
            for stop in range(stops):
                with nmc.open(package, max_level=4, stop=stop) as at_stop:
                    for t in range(both):
                        facts += compared(at_stop, t, originals[t])
                        progress(stop * both + t + 1, stops * both)
    faults = [fact for fact in facts if fact.fault]
    worst = worst_of([fact for fact in facts if fact.stop == stops - 1])
    holds = not faults and frames == given
    if not as_json:
        for fact in worst.values():
            say(_line(fact))
        for fact in faults[:_FAULTS_SHOWN]:
            warn_error(f"{_place(fact.frame, fact.stop)}, {fact.tensor}: {fact.fault}")
        if len(faults) > _FAULTS_SHOWN:
            warn_error(f"… and {len(faults) - _FAULTS_SHOWN} more")
        if frames != given:
            warn_error(f"the package has {counted(frames, 'frame')}, the original {given}")
        say(f"{package}: {_judgement(worst, holds=holds)}")
    return holds, {
        "holds": holds,
        "frames": [frames, given],
        "stops": stops,
        "worst": {name: fact.to_json() for name, fact in worst.items()},
        "tensors": [fact.to_json() for fact in facts],
    }


def _place(frame: int, stop: int) -> str:
    return f"frame {frame}, stop {stop}" if stop else f"frame {frame}"


def _line(fact: Compared) -> str:
    if fact.declared is None:
        return f"{fact.tensor}: lossless, {fact.fault or 'the same'}"
    error = "no number" if fact.error is None else f"{fact.error:.6g}"
    return f"{fact.tensor}: error {error}, declared {fact.declared:.6g} (frame {fact.frame})"


def _judgement(worst: Mapping[str, Compared], *, holds: bool) -> str:
    if not holds:
        return "it is not what it says of its originals"
    lossy = [fact for fact in worst.values() if fact.declared is not None]
    if not lossy:
        return "the same as its originals, bit for bit"
    far = max(lossy, key=lambda fact: fact.error or 0.0)
    return (
        f"every declared error holds; the largest error is {far.error:.6g}, "
        f"of {far.tensor} in frame {far.frame}"
    )


def _is_sure(report: Report) -> bool:
    """Whether a package was accepted, and every frame that was to be decoded could be."""
    unseen = any(found.code == "host/not-decrypted" for found in report.findings)
    return report.accepted and not unseen


def _verdict(report: Report) -> str:
    """Say what became of a package; what could not be read was not judged."""
    first = first_error(report.findings)
    done = f"{report.decoded} of {report.frames} frames decoded and right"
    if first is None and any(found.code == "host/not-decrypted" for found in report.findings):
        return f"in doubt: as far as it can be seen without the key nothing is wrong; {done}"
    if first is None:
        return f"accepted, {done}"
    if first.code in ("host/not-found", "host/broken-link"):
        return "not found"
    if first.code.startswith("host/"):
        return f"could not be read, {done}"
    if first.code == "package/not-a-package":
        return "not a package"
    if first.code == "package/unfinished":
        return "not finished"
    return f"refused, {done}"
