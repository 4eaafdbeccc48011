"""What goes wrong with pictures and their depth, in one line that says what to do."""

from __future__ import annotations


class DepthError(ValueError):
    """A picture, a depth map or a folder of them that cannot be used; names the file."""
