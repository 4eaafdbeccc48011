"""The lossless entropy coder of delta frames (clause 8)."""

from nmc.coding.arithmetic.coder import Effort, decode, encode, encode_pieces
from nmc.coding.arithmetic.history import History
from nmc.coding.arithmetic.tensors import CodedTensor, CoderError

__all__ = ["CodedTensor", "CoderError", "Effort", "History", "decode", "encode", "encode_pieces"]
