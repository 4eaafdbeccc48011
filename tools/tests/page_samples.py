"""How the tests of the documents read a page: its blocks, and the outputs that it shows."""

from __future__ import annotations

import re

BLOCK = re.compile(r"(?:^<!-- file: (\S+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""The file that a block is, its language and its text."""


def wanted(shown):
    """Return a pattern of an output in which … stands for anything, and spaces for some."""
    parts = (r"\s+".join(map(re.escape, part.split())) for part in shown.split("…"))
    return r"\s*" + r"\s*.*?\s*".join(parts) + r"\s*"
