"""Cases of bad input: media that are not what the manifest says (clause 16); a chain decodes."""

from __future__ import annotations

from bad_cases import ALL, case, flip

from nmc_format.manifest.media_table import CHUNK_BYTES
from nmc_format.package.members import medium_name

CLIP = bytes(range(256)) * 1500
FIRST = medium_name(0)


@case(("media/sha256", f"{FIRST}@{CHUNK_BYTES}"), on="media", healthy=ALL)
def medium_with_another_bit(p):
    flip(p / FIRST, CHUNK_BYTES)


@case(("media/length", FIRST), on="media", healthy=ALL)
def medium_with_a_byte_more(p):
    (p / FIRST).write_bytes(CLIP + b"x")


@case(("package/member-missing", "PKG"), on="media", healthy=ALL)
def medium_that_is_missing(p):
    (p / FIRST).unlink()


@case(("package/not-a-file", "PKG"), ("package/member-unknown", "PKG"), on="media", healthy=ALL)
def folder_of_media_is_a_symbolic_link(p):
    (p / "media").rename(p.parent / "elsewhere.d")
    (p / "media").symlink_to(p.parent / "elsewhere.d")
