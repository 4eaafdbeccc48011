"""The experiments by name, each with a line that says what it shows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Experiment:
    """A name, as the command takes it, and what the experiment shows."""

    name: str
    shows: str


EXPERIMENTS = (
    Experiment(
        "all-intra",
        "Pictures as INRIC models of five sizes, coded by NNCodec, by learned rounding to 7 and 8 "
        "bits, and by our lossy coder: PSNR over bits a pixel.",
    ),
    Experiment(
        "inter-like",
        "FFNeRV, HNeRV and NVP beside H.264 and HEVC, on a film of a camera that stands and of one "
        "that moves: PSNR and MS-SSIM over bits a pixel.",
    ),
    Experiment(
        "consistency",
        "A sequence of several cameras learned frame by frame, as a chain, and as one model "
        "(DyNeRF, MixVoxels): PSNR, SSIM, flicker where nothing moves, error along the motion.",
    ),
    Experiment(
        "compression-3d",
        "DyNeRF and MixVoxels models of a sequence, coded by NNCodec and by our lossy coder: PSNR "
        "of held-out views over bits a pixel.",
    ),
)
