"""What is right after a command that writes files failed: none is half, and it can be repeated."""

from __future__ import annotations

import shutil
from pathlib import Path

from file_commands import FileCommand, Files, files, is_litter
from judging import LOST, MISREPORTED, UNRECOVERED, quiet

KILLED = (-9, 130)


def expected_files(command: FileCommand, template: Path, scratch: Path) -> Files:
    """Carry a command out without faults; return what it makes."""
    root = scratch / "root"
    shutil.copytree(template, root, symlinks=True)
    code = quiet(lambda: command.run(root))
    made = files(command, root)
    if code or not made or any(map(is_litter, made)):
        raise RuntimeError(f"{command.title} fails without any fault: {code}, {list(made)}")
    shutil.rmtree(root)
    return made


def judge_files(
    command: FileCommand, root: Path, wanted: Files, code: int | str
) -> list[tuple[str, str]]:
    """Return the faults of a command that ended with a code.

    Parameters
    ----------
    command : FileCommand
        The command.
    root : Path
        The folder in which it was; changed.
    wanted : mapping of str to bytes
        What it makes.
    code : int or str
        Its exit code; negative for a signal, text for an exception.
    """
    found: list[tuple[str, str]] = []
    made = files(command, root)
    if isinstance(code, str):
        found.append((MISREPORTED, f"ends with {code}"))
    elif command.never_fails and code not in (0, *KILLED):
        found.append((MISREPORTED, f"fails with {code} for what is an aid"))
    if code == 0 and made != wanted and not command.never_fails:
        differing = sorted(n for n in made.keys() | wanted.keys() if made.get(n) != wanted.get(n))
        found.append((MISREPORTED, f"success, yet {differing} are not as they should be"))
    half = [n for n, data in made.items() if not is_litter(n) and data != wanted.get(n)]
    if half and code:
        found.append((LOST, f"{half} have their names and are not whole"))
    code = quiet(lambda: command.again(root))
    if code:
        found.append((UNRECOVERED, f"the command ends with {code} when it is repeated"))
        return found
    made = {n: data for n, data in files(command, root).items() if not is_litter(n)}
    if made != wanted and not (command.never_fails and made.items() <= wanted.items()):
        found.append((UNRECOVERED, "the command makes something else when it is repeated"))
    return found
