"""What the demo tells about its result: a table of frames and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from nmc_framework.counting import counted
from nmc_tools.demo.solved_rig import SolvedRig, TrueRig


@dataclass(frozen=True)
class FrameRow:
    """What became of one frame; quality is the mean over the held-out views."""

    index: int
    coding: str
    iterations: int
    seconds: float
    psnr: float
    ssim: float
    raw_bytes: int
    coded_bytes: int


@dataclass(frozen=True)
class DemoResult:
    """What the demo left behind, and how it went.

    ``seconds`` is the wall time of all of it; ``rate`` the price of a kilobyte in decibels, or
    ``"auto"``, where the chain was trained for rate.
    """

    rig: SolvedRig | TrueRig
    package: Path
    video: Path
    plot: Path
    track: Path
    scores: Path
    frames: tuple[FrameRow, ...]
    findings: tuple[str, ...]
    seconds: float
    rate: float | Literal["auto"] | None = None

    @property
    def accepted(self) -> bool:
        """Whether the check of the package found nothing."""
        return not self.findings


# Short enough for a terminal of 80 columns.
_COLUMNS = ("frame", "coding", "steps", "s", "PSNR dB", "SSIM", "raw kB", "kB", "ratio")


def show(result: DemoResult, console: Console, *, table: bool) -> None:
    """Print the table of frames, if asked to, and the summary."""
    if table:
        console.print(_table(result.frames))
    raw, coded = (sum(getattr(r, f"{k}_bytes") for r in result.frames) for k in ("raw", "coded"))
    files = (
        result.package,
        result.video,
        result.plot,
        result.rig.picture,
        result.track,
        result.scores,
    )
    how = "lossless"
    if result.rate is not None:
        price = "auto" if result.rate == "auto" else f"{result.rate:g} dB a kB"
        how = f"trained for rate at {price}"
    lines = [
        result.rig.line(),
        f"{raw:,} bytes of models in {coded:,} ({raw / coded:.2f} to 1, {how})",
        f"every frame decoded to the trained bits; the check found {_count(result.findings)}",
        f"{result.seconds:.0f} s in all",
        *(f"  {path}  {path.stat().st_size:,} bytes" for path in files),
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)


def _table(frames: Sequence[FrameRow]) -> Table:
    table = Table(title="one model a frame", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in _COLUMNS:
        table.add_column(name, justify="left" if name == "coding" else "right", no_wrap=True)
    for r in frames:
        numbers = f"{r.iterations} {r.seconds:.1f} {r.psnr:.2f} {r.ssim:.3f}"
        sizes = f"{r.raw_bytes / 1000:,.1f} {r.coded_bytes / 1000:,.1f}"
        ratio = f"{r.raw_bytes / r.coded_bytes:.2f}"
        table.add_row(str(r.index), r.coding, *numbers.split(), *sizes.split(), ratio)
    return table


def _count(findings: Sequence[str]) -> str:
    return counted(len(findings), "fault") if findings else "nothing"
