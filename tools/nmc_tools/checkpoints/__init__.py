"""Imports and exports checkpoints of other programs: what a chain is made from, and becomes again.

>>> from nmc_tools import checkpoints
>>> frames = checkpoints.expand(["run/"])                      # doctest: +SKIP
>>> checkpoint = checkpoints.read(frames[0])                   # doctest: +SKIP
>>> layers = checkpoints.layers_of(list(checkpoint.state))     # doctest: +SKIP
>>> checkpoints.write("out.pt", checkpoint.state, to="pt")     # doctest: +SKIP
"""

from nmc_tools.checkpoints.checkpoint import Checkpoint, CheckpointError, buffers_by_convention
from nmc_tools.checkpoints.checkpoint_selection import Order, Selection, expand, select
from nmc_tools.checkpoints.layers import UNASSIGNED, layers_of, parse_layers
from nmc_tools.checkpoints.reading import READABLE_SUFFIXES, read
from nmc_tools.checkpoints.relation import doubt, shape_of
from nmc_tools.checkpoints.shards import FrameSource, read_source
from nmc_tools.checkpoints.torch_files import Keep
from nmc_tools.checkpoints.writing import TARGETS, Target, write, write_in_parts

__all__ = [
    "READABLE_SUFFIXES",
    "TARGETS",
    "UNASSIGNED",
    "Checkpoint",
    "CheckpointError",
    "FrameSource",
    "Keep",
    "Order",
    "Selection",
    "Target",
    "buffers_by_convention",
    "doubt",
    "expand",
    "layers_of",
    "parse_layers",
    "read",
    "read_source",
    "select",
    "shape_of",
    "write",
    "write_in_parts",
]
