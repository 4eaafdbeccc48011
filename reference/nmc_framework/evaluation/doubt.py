"""Whether a chain learned its pictures by heart: held-out views far below those trained with."""

from __future__ import annotations

import math

#: dB by which held-out views are below the training rays before something is said. On the embedded
#: scenes it is 1 to 5; with three cameras about a person it was 8 and more.
_FAR_BELOW = 8.0


def doubt(loss: float, psnr: float) -> str | None:
    """Return what to doubt where a model shows its training views far better than others.

    Parameters
    ----------
    loss
        Mean squared error of the rays that were trained with, colours of 0 to 1.
    psnr
        Of views held out, in dB.
    """
    if not (0 < loss < math.inf and math.isfinite(psnr)):
        return None
    below = -10 * math.log10(loss) - psnr
    if below < _FAR_BELOW:
        return None
    return (
        f"held-out views are {below:.0f} dB below those trained with: too few cameras for this "
        "scene, cameras that do not stand where they are said to, or pictures of other instants"
    )
