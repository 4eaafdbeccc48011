"""Numbers of things as people write them."""

from __future__ import annotations


def counted(count: int, one: str, many: str = "") -> str:
    """Return such as ``1 frame`` or ``3 frames``; ``many`` is where an s does not do."""
    return f"{count} {one if count == 1 else many or one + 's'}"
