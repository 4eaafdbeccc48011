"""NMC: read and write chains of neural models, exactly.

>>> import nmc
>>> with nmc.Writer("scene.nmc", family="nerf_mlp") as writer:  # doctest: +SKIP
...     for state in states:
...         writer.append(state)
>>> with nmc.open("scene.nmc") as sequence:  # doctest: +SKIP
...     last = sequence[-1]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nmc.reading.asynchronous import AsyncSequence, open_async
    from nmc.reading.check import check
    from nmc.reading.keys import PublicKey
    from nmc.reading.media import Medium
    from nmc.reading.opening import open_sequence as open  # noqa: A004 - nmc.open, as in gzip.open
    from nmc.reading.secret_keys import SecretKey
    from nmc.reading.sequence import ChainSequence
    from nmc.transport.ends import Receiver, Sender
    from nmc.transport.follow import Follower, follow
    from nmc.transport.growing import open_unfinished
    from nmc.transport.message import apply, encode_delta
    from nmc.transport.push import Pushed, push
    from nmc.writing.curvature import Curvature
    from nmc.writing.encrypting import decrypt, encrypt
    from nmc.writing.media import Media
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
    from nmc_format.manifest.media_table import MediaMap
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
    "Media",
    "MediaMap",
    "Medium",
    "PackedArray",
    "PrivateKey",
    "PublicKey",
    "Pushed",
    "Quality",
    "Quantisation",
    "Receiver",
    "SecretKey",
    "Sender",
    "Sensitivity",
    "Signature",
    "Writer",
    "apply",
    "check",
    "concat",
    "decrypt",
    "encode_delta",
    "encrypt",
    "extract",
    "follow",
    "open",
    "open_async",
    "open_unfinished",
    "push",
    "recover",
    "sign",
]

_HOMES = {
    "AsyncSequence": ("nmc.reading.asynchronous", "AsyncSequence"),
    "Cameras": ("nmc_format.manifest.record", "Cameras"),
    "ChainSequence": ("nmc.reading.sequence", "ChainSequence"),
    "Colour": ("nmc_format.manifest.frame_table", "Colour"),
    "Curvature": ("nmc.writing.curvature", "Curvature"),
    "Finding": ("nmc_format.issues", "Finding"),
    "Follower": ("nmc.transport.follow", "Follower"),
    "FormatError": ("nmc_format.issues", "FormatError"),
    "Media": ("nmc.writing.media", "Media"),
    "MediaMap": ("nmc_format.manifest.media_table", "MediaMap"),
    "Medium": ("nmc.reading.media", "Medium"),
    "PackedArray": ("nmc_format.dtypes", "PackedArray"),
    "PrivateKey": ("nmc.writing.private_keys", "PrivateKey"),
    "PublicKey": ("nmc.reading.keys", "PublicKey"),
    "Pushed": ("nmc.transport.push", "Pushed"),
    "Quality": ("nmc_format.manifest.record", "Quality"),
    "Quantisation": ("nmc.writing.quantisation", "Quantisation"),
    "SecretKey": ("nmc.reading.secret_keys", "SecretKey"),
    "Receiver": ("nmc.transport.ends", "Receiver"),
    "Sender": ("nmc.transport.ends", "Sender"),
    "Sensitivity": ("nmc.writing.sensitivity", "Sensitivity"),
    "Signature": ("nmc_format.signature", "Signature"),
    "Writer": ("nmc.writing.writer", "Writer"),
    "apply": ("nmc.transport.message", "apply"),
    "check": ("nmc.reading.check", "check"),
    "decrypt": ("nmc.writing.encrypting", "decrypt"),
    "encrypt": ("nmc.writing.encrypting", "encrypt"),
    "concat": ("nmc.writing.recut", "concat"),
    "encode_delta": ("nmc.transport.message", "encode_delta"),
    "extract": ("nmc.writing.recut", "extract"),
    "follow": ("nmc.transport.follow", "follow"),
    "open": ("nmc.reading.opening", "open_sequence"),
    "open_async": ("nmc.reading.asynchronous", "open_async"),
    "open_unfinished": ("nmc.transport.growing", "open_unfinished"),
    "push": ("nmc.transport.push", "push"),
    "recover": ("nmc.writing.recovery", "recover"),
    "sign": ("nmc.writing.signing", "sign"),
}
"""Module and name of what is public: loaded when it is asked for, so ``import nmc`` is quick."""

if not TYPE_CHECKING:  # for the type checker the names above are all that there is

    def __getattr__(name: str) -> Any:
        """Load a public name (PEP 562)."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module, found = _HOMES[name]
        value = getattr(import_module(module), found)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """Names of the module, those that are not loaded yet, too."""
        return sorted({*globals(), *__all__})
