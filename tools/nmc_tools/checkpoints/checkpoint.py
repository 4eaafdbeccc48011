"""What a checkpoint is once it is read, and the one error that refuses it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from nmc_format.dtypes import Array

MAX_NOTES = 32
"""Entries of `Checkpoint.skipped`; a training checkpoint can hold thousands of loose numbers."""

_LONGEST_FACT = 160

_BUFFER_NAMES = frozenset(
    {
        "running_mean",  # torch.nn.BatchNorm*, InstanceNorm*
        "running_var",
        "num_batches_tracked",
        "moving_mean",  # keras.layers.BatchNormalization
        "moving_variance",
        "position_ids",  # transformers: registered buffers that older versions saved
        "inv_freq",
    }
)


class Refusal(Exception):  # noqa: N818 - becomes a CheckpointError where the path is known
    """A reason to refuse a file, raised by code that does not know the file's path.

    Attributes
    ----------
    reason : str
        What is wrong, where, and what was expected.
    hint : str
        What to do; may be empty.
    """

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint


class CheckpointError(Exception):
    """A checkpoint cannot be read or written; the message is one line.

    Attributes
    ----------
    path : str
        The file, or the text of the selection or of the layer rules that is at fault.
    reason : str
        What is wrong, where, and what was expected.
    hint : str
        What to do; may be empty.
    """

    def __init__(self, path: str | Path, reason: str, hint: str = "") -> None:
        self.path = plain(path)
        self.reason = reason
        self.hint = hint
        super().__init__(f"{self.path}: {reason}" + (f" ({hint})" if hint else ""))

    def __reduce__(self) -> tuple[type[CheckpointError], tuple[str, str, str]]:
        """Rebuild from its three parts, so that the error crosses process borders."""
        return (type(self), (self.path, self.reason, self.hint))


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The weights of one model, as one file holds them.

    Attributes
    ----------
    state : dict of str to Array
        Tensors by name, in file order; numpy arrays (bfloat16 and the 8-bit floats by ml_dtypes),
        or PackedArray for elements smaller than a byte. Tensors that share memory in the file
        may share it here.
    buffers : frozenset of str
        Names known to be buffers, not parameters: where the file itself says so (TorchScript and
        whole pickled modules), and else by convention, the last part of the name being one of
        running_mean, running_var, num_batches_tracked, moving_mean, moving_variance,
        position_ids, inv_freq. A plain state dict does not tell the two apart, so other buffers
        pass for parameters.
    source_format : str
        ``"safetensors"``, ``"torch"``, ``"torch-legacy"``, ``"torchscript"``, ``"npz"``,
        ``"keras"``, ``"ply"``, ``"instant-ngp"``, ``"tensorflow"``, ``"tensorflow-1"``,
        ``"onnx"``, ``"splat"``, ``"spz"``, ``"gltf"`` or ``"stable-baselines3"``.
    key : str
        The nested mapping that was taken, as a dotted path; ``""`` for the whole file.
    skipped : tuple of str
        What was left out, and why.
    extra : dict
        What `write` needs to restore the file beyond its tensors; small, and valid JSON.
    scalars : dict
        What the file says of its training, such as epoch, step and losses, by dotted path; small,
        and valid JSON.
    tree : JSON or None
        With ``keep="all"``, the nesting and the scalars of the whole file; see `nesting`.
    """

    state: dict[str, Array]
    buffers: frozenset[str]
    source_format: str
    key: str = ""
    skipped: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    scalars: dict[str, Any] = field(default_factory=dict)
    tree: Any = None


def plain(text: object) -> str:
    """Make untrusted text harmless for a terminal, and short enough to read."""
    line = str(text)
    if not line.isprintable():
        line = ascii(line)
    return line if len(line) <= _LONGEST_FACT else line[: _LONGEST_FACT - 1] + "…"


def buffers_by_convention(names: Iterable[str]) -> frozenset[str]:
    """Return the names that by their last part are buffers; see `Checkpoint.buffers`."""
    last = {name: name.replace("/", ".").rpartition(".")[2].partition(":")[0] for name in names}
    return frozenset(name for name, part in last.items() if part in _BUFFER_NAMES)


def capped(notes: list[str]) -> tuple[str, ...]:
    """Return at most MAX_NOTES notes, the last one counting the rest."""
    if len(notes) <= MAX_NOTES:
        return tuple(notes)
    return (*notes[: MAX_NOTES - 1], f"{len(notes) - MAX_NOTES + 1} more entries")


def narrow(checkpoint: Checkpoint, keys: Sequence[str]) -> Checkpoint:
    """Take the parts of a flat checkpoint under dotted (or slashed) prefixes.

    One prefix is dropped from the names; several stay, so that the parts are told apart.

    Raises
    ------
    Refusal
        If no tensor lies under one of them.
    """
    if not keys:
        return checkpoint
    names: dict[str, str] = {}
    for key in keys:
        found = {
            name: name if len(keys) > 1 else name[len(key) + 1 :]
            for name in checkpoint.state
            if name.startswith((f"{key}.", f"{key}/")) and len(name) > len(key) + 1
        }
        if key in checkpoint.state:
            found[key] = key
        if not found:
            raise Refusal(f"no tensor lies under key {plain(key)!r}; {_some(checkpoint.state)}")
        names |= found
    return replace(
        checkpoint,
        state={new: checkpoint.state[old] for old, new in names.items()},
        buffers=frozenset(names[name] for name in checkpoint.buffers if name in names),
        key=", ".join(keys),
    )


def _some(state: Mapping[str, Array]) -> str:
    first = ", ".join(plain(name) for name in list(state)[:3])
    return f"the file holds {len(state)} tensors: {first}" + (", …" if len(state) > 3 else "")
