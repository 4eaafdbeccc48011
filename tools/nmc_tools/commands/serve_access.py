"""Who may read what a command serves: tokens, and the key of those that expire."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from nmc_format.host import host_errors

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nmc_tools.serve.access import Access

_LONGEST_KEY = 4096


def access_of(tokens: Sequence[str], key: Path | None, option: str = "--token") -> Access:
    """Return who may read, by tokens and the file of a key.

    Raises
    ------
    typer.BadParameter
        If a token or the key is none.
    FormatError
        If the key cannot be read.
    """
    from nmc_tools.serve.access import Access

    try:
        return Access(tuple(tokens), None if key is None else read_key(key))
    except ValueError as error:
        hint = "--key" if "key" in str(error) else option
        raise typer.BadParameter(str(error), param_hint=hint) from None


def read_key(path: Path) -> bytes:
    """Return the bytes of a key that signs tokens.

    Raises
    ------
    typer.BadParameter
        If the file is too long for one.
    FormatError
        If it cannot be read.
    """
    with host_errors(path), path.open("rb") as file:
        data: bytes = file.read(_LONGEST_KEY + 1)
    if len(data) > _LONGEST_KEY:
        raise typer.BadParameter(
            f"{path}: it has more than {_LONGEST_KEY} bytes", param_hint="--key"
        )
    return data
