"""The lossless entropy coder of delta frames (clause 8)."""

from nmc.arithmetic.coder import Effort, decode, encode
from nmc.arithmetic.history import History
from nmc.arithmetic.planes import CoderError, Plane

__all__ = ["CoderError", "Effort", "History", "Plane", "decode", "encode"]
