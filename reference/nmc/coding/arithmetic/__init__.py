"""The lossless entropy coder of delta frames (clause 8)."""

from nmc.coding.arithmetic.coder import Effort, decode, encode
from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.planes import CoderError, Plane

__all__ = ["CoderError", "Effort", "History", "Plane", "decode", "encode"]
