"""What the tests of runs by configuration share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, **sections: Any) -> Path:
    """Write a configuration."""
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(sections, sort_keys=False))
    return path


SCENE = {"scene": {"cameras": 4, "held_out": 1, "size": "24x20", "frames": 2}}
