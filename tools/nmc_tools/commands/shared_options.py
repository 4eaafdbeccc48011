"""Options that several commands share."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

import nmc
from nmc.coding.arithmetic import Effort
from nmc.remote.address import scheme_of, shown


class Address(str):
    """An address of a package on a server or in a store, where commands take a path as well."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """Its last part, for people."""
        return urlsplit(self).path.rstrip("/").rpartition("/")[2] or shown(self)


def path_or_address(text: str) -> Path | Address:
    """Return what an argument names; a path keeps only one of two slashes."""
    return Address(text) if scheme_of(text) else Path(text)


PackageSource = Annotated[
    Any,
    typer.Argument(
        metavar="PKG",
        help="A .nmc file or directory, or its address: https://…, s3://…",
        parser=path_or_address,
    ),
]
PackagePath = Annotated[Path, typer.Argument(metavar="PKG", help="A .nmc file or directory.")]
OutputPath = Annotated[Path, typer.Option("--output", "-o", help="The package to write.")]
StopOption = Annotated[
    int | None,
    typer.Option(
        "--refinements",
        min=0,
        help="How many refinements of each frame are decoded; 0: the base. By default all.",
    ),
]
KeptOption = Annotated[
    int | None,
    typer.Option(
        "--refinements", min=0, help="How many refinements of each frame are kept; 0: the base."
    ),
]
EffortOption = Annotated[
    Effort, typer.Option(help="Speed against size; the decoded states are the same.")
]
DirectoryOption = Annotated[
    bool, typer.Option("--directory", help="Write a directory instead of one file.")
]
FpsOption = Annotated[
    str | None,
    typer.Option(
        "--fps",
        help="Frames a second, such as 24, 29.97 or 30000/1001; else as the input says, or 30.",
    ),
]
ForceOption = Annotated[bool, typer.Option("--force", "-f", help="Replace what is there.")]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Threads: for groups of frames, each with memory of its own, and within frames. By "
        "default one for each core, and groups while their states take at most 1 GiB.",
    ),
]
PackJobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        help="Threads for each frame: its digests, and the coder (strong from 4,194,304 changing "
        "words a frame on, max never). By default one for each core. The bytes are the same.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, by its schema.")]
PlainJsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FramesOption = Annotated[
    str | None,
    typer.Option("--frames", help="Such as 0,3-5,8- or -1 for the last. All if left out."),
]
EncryptKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--encrypt-key",
        metavar="FILE",
        help="Encrypt the segments by this key, as nmc keygen --symmetric makes it.",
    ),
]
DecryptKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--decrypt-key",
        metavar="FILE",
        help="The key of an encrypted package; where it is left out, that of NMC_KEY_FILE.",
    ),
]
MaxLevelOption = Annotated[
    int, typer.Option("--max-level", min=1, max=4, help="Refuse packages of a higher level.")
]


def opened(
    package: Path | Address, max_level: int, refinements: int | None, key: Path | None = None
) -> nmc.ChainSequence:
    """Open a package for what is left of each frame without some of its refinements.

    Raises
    ------
    typer.BadParameter
        If its frames have fewer.
    """
    try:
        return nmc.open(package, max_level=max_level, stop=refinements, key=key)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--refinements") from None


def parse_rate(text: str | None) -> Fraction | None:
    """Return what ``--fps`` says, exactly; None where it is not given."""
    if text is None:
        return None
    from nmc_framework.frame_rate import read_rate

    try:
        return read_rate(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--fps") from None
