"""Pictures that cannot be written are not there by half."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("PIL")

from PIL import Image

from nmc_tools.pictures import write_png


def test_a_picture_is_whole_or_as_it_was(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.png"
    write_png(path, np.zeros((4, 6, 3), np.uint8))
    before = path.read_bytes()

    def torn(_, file, **__) -> None:
        file.write_bytes(b"\x89PNG half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", torn)
    with pytest.raises(OSError, match="No space"):
        write_png(path, np.ones((4, 6, 3), np.uint8))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]
