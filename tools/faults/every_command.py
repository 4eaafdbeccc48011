"""Every command that writes, in the order of the table."""

from __future__ import annotations

from commands import Command, packing, packing_lossy, recutting, transmitting
from file_commands import FileCommand, bridging, describing, keys, unpacking
from framework_commands import framework_is_here, showing, training
from sealing_commands import carrying, encrypting, recoding


def all_commands() -> list[Command]:
    """Return every command that writes a package, in both forms."""
    kinds = [packing, recutting, packing_lossy, transmitting, encrypting, carrying, recoding]
    kinds += [training] * framework_is_here()
    return [
        command
        for directory in (False, True)
        for kind in kinds
        for command in kind(directory=directory)
    ]


def all_file_commands() -> list[FileCommand]:
    """Return every command that writes files, with packages of both forms."""
    made = [
        command
        for directory in (False, True)
        for kind in (unpacking, bridging, describing)
        for command in kind(directory=directory)
    ]
    return [*made, *keys(), *(showing() if framework_is_here() else [])]
