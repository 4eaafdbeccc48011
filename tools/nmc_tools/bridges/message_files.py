"""Messages kept as files, one for each state: what a line carried, to look at or to send again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from natsort import natsorted

from nmc.transport.ends import Receiver
from nmc_format.issues import FormatError

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
            state = receiver.receive(path.read_bytes())
        except FormatError as error:
            place = replace(error.finding.place, file=str(path))
            raise FormatError(replace(error.finding, place=place)) from None
        yield path.stem, state


def write_step(folder: Path, number: int, state: dict[str, Array], sender: Sender) -> None:
    """Write the message of the next state."""
    (folder / f"message_{number:06d}{SUFFIX}").write_bytes(sender.send(state))
