"""Messages kept as files, one for each state: what a line carried, to look at or to send again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from natsort import natsorted

from nmc.transport.ends import Receiver
from nmc_format.host import host_errors
from nmc_format.issues import FormatError, refuse
from nmc_format.message import HEAD_BYTES, length_of
from nmc_tools.checkpoints.writing import put

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nmc.transport.ends import Sender
    from nmc_format.dtypes import Array

SUFFIX: Final = ".nmcmsg"


def is_chain(folder: Path) -> bool:
    """Whether a folder has messages in it."""
    return any(folder.glob(f"*{SUFFIX}"))


def states_of(folder: Path, base: dict[str, Array] | None) -> Iterator[tuple[str, Any]]:
    """Yield name and state of each message; the first is a key message, or builds on the base.

    Raises
    ------
    FormatError
        If a message is damaged, or does not build on the one before.
    """
    import nmc

    receiver = Receiver()
    if base is not None:
        receiver.receive(nmc.encode_delta(None, base, entropy="none"))
        yield "base", receiver.state
    for path in natsorted(folder.glob(f"*{SUFFIX}"), key=lambda p: p.name):
        try:
            state = receiver.receive(_content(path))
        except FormatError as error:
            place = replace(error.finding.place, file=str(path))
            raise FormatError(replace(error.finding, place=place)) from None
        yield path.stem, state


def _content(path: Path) -> bytes:
    """Return a message; a file that is longer than its head says is not read."""
    if not path.is_file():
        raise refuse("package/not-a-file", file=str(path.parent), member=path.name)
    with host_errors(path), path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        size = file.seek(0, 2)
        if length_of(head) != size:
            reason = f"it has {size} bytes and says that it has {length_of(head)}"
            raise refuse("message/malformed", file=str(path), offset=8, reason=reason)
        file.seek(0)
        return file.read(size)


def write_step(folder: Path, number: int, state: dict[str, Array], sender: Sender) -> None:
    """Write the message of the next state."""
    message = sender.send(state)
    put(folder / f"message_{number:06d}{SUFFIX}", lambda file: file.write(message))
