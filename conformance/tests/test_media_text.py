"""The pseudo-code of chapter 16 is run: chunks of media, and the frames that serve pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pseudocode
from programs import VECTORS
from text_decoder import ELSEWHERE, members_of, objects_of

from nmc_conformance.vectors import load
from nmc_format.manifest.media_table import MediaMap, chunks_of

if TYPE_CHECKING:
    from typing import Any


def text() -> dict[str, Any]:
    made: dict[str, Any] = pseudocode.program("media", **ELSEWHERE)
    return made


def test_media_have_the_chunks_that_the_text_counts() -> None:
    for name in ("one", "several", "texts", "none"):
        members = members_of(load(VECTORS / "16-media" / name).input)
        objects = objects_of(members["manifest.h5"])
        lengths = [len(data) for path, data in members.items() if path.startswith("media/")]
        assert lengths == list(objects["/media/length"])
        assert sum(map(text()["chunks"], lengths)) == len(objects["/media/chunk_sha256"])


def test_the_reference_divides_media_as_the_text_says() -> None:
    lengths = [0, 1, 262_143, 262_144, 262_145, 524_288, 524_289, 2**63]
    assert [chunks_of(length) for length in lengths] == [text()["chunks"](n) for n in lengths]


def test_the_reference_finds_frames_as_the_text_says() -> None:
    served = MediaMap((3, 10, 11, 500), (2, None, 0, 2))
    frames = [-1 if t is None else t for t in served.frames]
    for position in [*range(15), 499, 500, 10**12]:
        expected = text()["frame_at"](position, list(served.positions), frames)
        assert (-1 if (t := served.frame_at(position)) is None else t) == expected
