"""Names the parts of checkpoints that other programs write as tuples without names."""

from __future__ import annotations

from typing import Any

from nmc_tools.checkpoints.torch_tensors import Tensor

_GAUSSIANS = (
    "active_sh_degree",
    "xyz",
    "features_dc",
    "features_rest",
    "scaling",
    "rotation",
    "opacity",
    "max_radii2D",
    "xyz_gradient_accum",
    "denom",
    "optimizer",
    "spatial_lr_scale",
)
"""Parts of a ``chkpnt*.pth`` of 3D Gaussian splatting (Kerbl et al. 2023, scene/gaussian_model.py,
`capture`; train.py saves it with the iteration), named as the attributes they come from."""

_TRAINING = ("max_radii2D", "xyz_gradient_accum", "denom")


def named(root: Any) -> Any:
    """Return the content of a file with names, where it is a tuple of a known program."""
    match root:
        case (tuple() as parts, int() as iteration) if len(parts) == len(_GAUSSIANS):
            parameters = parts[1:7]
            if all(isinstance(part, Tensor) for part in parameters):
                model = dict(zip(_GAUSSIANS, parts, strict=True))
                # What densification counts with is state of the training, as that of the optimizer.
                training = {name: model.pop(name) for name in _TRAINING}
                optimizer = model.pop("optimizer")
                state = {"optimizer": optimizer, "optimizer_densification": training}
                return {"model": model, "iteration": iteration} | state
    return root
