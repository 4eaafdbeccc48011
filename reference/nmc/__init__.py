"""NMC: read and write chains of neural models, exactly.

>>> import nmc
>>> with nmc.Writer("scene.nmc", family="nerf_mlp") as writer:  # doctest: +SKIP
...     for state in states:
...         writer.append(state)
>>> with nmc.open("scene.nmc") as sequence:  # doctest: +SKIP
...     last = sequence[-1]
"""

from nmc.reading.asynchronous import AsyncSequence, open_async
from nmc.reading.check import check
from nmc.reading.keys import PublicKey
from nmc.reading.sequence import ChainSequence
from nmc.reading.sequence import open_sequence as open  # noqa: A004 - nmc.open, as in gzip.open
from nmc.transport.ends import Receiver, Sender
from nmc.transport.follow import Follower, follow
from nmc.transport.growing import open_unfinished
from nmc.transport.message import apply, encode_delta
from nmc.transport.push import Pushed, push
from nmc.writing.curvature import Curvature
from nmc.writing.private_keys import PrivateKey
from nmc.writing.quantisation import Quantisation
from nmc.writing.recovery import recover
from nmc.writing.recut import concat, extract
from nmc.writing.sensitivity import Sensitivity
from nmc.writing.signing import sign
from nmc.writing.writer import Writer
from nmc_format.dtypes import PackedArray
from nmc_format.issues import Finding, FormatError
from nmc_format.manifest.frame_table import Colour
from nmc_format.manifest.record import Cameras, Quality
from nmc_format.signature import Signature

__version__ = "0.1.0"

__all__ = [
    "AsyncSequence",
    "Cameras",
    "ChainSequence",
    "Colour",
    "Curvature",
    "Finding",
    "Follower",
    "FormatError",
    "PackedArray",
    "PrivateKey",
    "PublicKey",
    "Pushed",
    "Quality",
    "Quantisation",
    "Receiver",
    "Sender",
    "Sensitivity",
    "Signature",
    "Writer",
    "apply",
    "check",
    "concat",
    "encode_delta",
    "extract",
    "follow",
    "open",
    "open_async",
    "open_unfinished",
    "push",
    "recover",
    "sign",
]
