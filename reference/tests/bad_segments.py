"""Cases of bad input: segments (chapters 6 to 8), and the digests that bind them to their place."""

from __future__ import annotations

import json
import shutil

import numpy as np
from bad_cases import ALL, FIRST, FRAMES, SECOND, case, flip, seg
from nmc_samples import edit, objects_of, rebuild, seal, segment_path

import nmc
from nmc_format.segment import SKIP, parse


@case(("segment/length", seg(1)), healthy=SECOND | {0})
def segment_cut_short(p):
    data = segment_path(p, 1).read_bytes()
    segment_path(p, 1).write_bytes(data[:-1])


@case(("segment/length", seg(3)), healthy=FIRST)
def segment_empty(p):
    segment_path(p, 3).write_bytes(b"")


@case(("segment/length", seg(4)), healthy=FIRST | {3})
def segment_with_bytes_after_its_end(p):
    with segment_path(p, 4).open("ab") as file:
        file.write(b"\0")


@case(("segment/sha256", seg(1, 0)), healthy=SECOND | {0})
def segment_bit_flipped_in_its_data(p):
    flip(segment_path(p, 1), -10)


@case(("segment/sha256", seg(0, 0)), healthy=SECOND)
def segment_bit_flipped_in_its_header(p):
    flip(segment_path(p, 0), 20)


@case(("decoding/state-digest-mismatch", "/frames/1/state_digest"), healthy=SECOND | {0})
def segment_bit_flipped_and_sealed_again(p):
    flip(segment_path(p, 1), -10)
    seal(p)


@case(("segment/misplaced", seg(1, 0)), ("segment/misplaced", seg(2, 0)), healthy=SECOND | {0})
def segments_swapped(p):
    a, b = segment_path(p, 1), segment_path(p, 2)
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)


@case(("segment/misplaced", seg(0, 0)), ("segment/misplaced", seg(3, 0)))
def key_frames_swapped(p):
    a, b = segment_path(p, 0), segment_path(p, 3)
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)


@case(("segment/misplaced", seg(2, 0)), healthy=SECOND | {0, 1})
def segment_replaced_by_a_copy_of_another(p):
    shutil.copy(segment_path(p, 1), segment_path(p, 2))


@case(("package/member-unknown", "PKG"), healthy=ALL)
def segment_duplicated_beyond_the_end(p):
    shutil.copy(segment_path(p, 1), segment_path(p, 6))


@case(("package/member-missing", "PKG"), healthy=SECOND | {0, 1})
def segment_missing(p):
    segment_path(p, 2).unlink()


@case(("package/member-missing", "PKG"), ("package/member-unknown", "PKG"), healthy=FIRST)
def segment_renamed(p):
    segment_path(p, 3).rename(p / "segments" / "3.safetensors")


@case(*[("package/member-missing", "PKG")] * FRAMES)
def folder_of_segments_missing(p):
    shutil.rmtree(p / "segments")


@case(
    ("segment/sha256", seg(0, 0)), ("segment/sha256", seg(4, 0)), ("package/member-missing", "PKG")
)
def several_things_at_once(p):
    flip(segment_path(p, 0), -1)
    flip(segment_path(p, 4), -1)
    segment_path(p, 3).unlink()


# --- digests that bind a segment to its place -----------------------------------------------------


@case(("decoding/parent-digest-mismatch", seg(1, 8)), healthy=SECOND | {0})
def wrong_parent(p):
    rebuild(p, 1, parent=b"\7" * 32)


@case(("decoding/parent-digest-mismatch", seg(4, 8)), healthy=FIRST | {3})
def delta_frame_without_parent(p):
    rebuild(p, 4, parent=None)


@case(("decoding/parent-digest-mismatch", seg(3, 8)), healthy=FIRST)
def key_frame_with_parent(p):
    rebuild(p, 3, parent=b"\7" * 32)


@case(("decoding/segment-state-mismatch", seg(5, 8)), healthy=ALL - {5})
def segment_of_another_state(p):
    rebuild(p, 5, state=b"\7" * 32)


@case(("decoding/state-digest-mismatch", "/frames/1/state_digest"), healthy=ALL - {1})
def state_digest_forged_everywhere(p):
    forged = b"\7" * 32
    edit(p, "/frames/state_digest", lambda a: a.__setitem__(1, np.frombuffer(forged, "u1")))
    rebuild(p, 1, state=forged)
    rebuild(p, 2, parent=forged)


@case(("decoding/tensor-digest-mismatch", seg(2)), healthy=SECOND | {0, 1})
def a_stored_digest_with_another_bit(p):
    """The state is right, so that a reader of all of it could pass over the digest."""
    with nmc.open(p) as sequence:
        modes = parse(sequence.coded(2), "").modes
        state = sequence.state(2)
    right = b"".join(state[row].digest for row in state if modes[row] != SKIP)
    rebuild(p, 2, payloads=lambda s: {**s, "digests": bytes([right[0] ^ 1]) + right[1:]})


@case(("segment/stream-length", "*"), healthy=SECOND | {0, 1})
def stored_digests_cut_short(p):
    rebuild(p, 2, payloads=lambda s: {**s, "digests": bytes(31)})


@case(("decoding/segment-state-mismatch", seg(1, 8)), healthy=SECOND | {0})
def state_digest_forged_in_the_manifest(p):
    # that frame 2 builds on another state follows: the manifest contradicts itself once
    edit(p, "/frames/state_digest", lambda a: a[1].__setitem__(0, a[1][0] ^ 1))
    rebuild(p, 2, parent=objects_of(p)["/frames/state_digest"][1].tobytes())


# --- what is inside a segment ---------------------------------------------------------------------


@case(("segment/header", seg(0, 0)), healthy=SECOND)
def segment_of_garbage(p):
    segment_path(p, 0).write_bytes(b"\xff" * 500)
    seal(p)


@case(("segment/header", seg(4, 8)), healthy=FIRST | {3})
def segment_header_of_deep_arrays(p):
    text = b"[" * 2000 + b"]" * 2000
    segment_path(p, 4).write_bytes(len(text).to_bytes(8, "little") + text)
    seal(p)


@case(("segment/not-canonical", seg(0, 8)), healthy=SECOND)
def segment_with_another_key_order(p):
    data = segment_path(p, 0).read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    text = json.dumps(dict(reversed(header.items())), separators=(",", ":")).encode().ljust(size)
    segment_path(p, 0).write_bytes(data[:8] + text + data[8 + size :])
    seal(p)


@case(("segment/metadata", seg(0, 8)), healthy=SECOND)
def segment_with_a_short_digest(p):
    data = segment_path(p, 0).read_bytes()
    at = data.index(b'"state":"') + 9
    segment_path(p, 0).write_bytes(data[:at] + b" " + data[at + 1 :])
    seal(p)


@case(("segment/stream-unknown", seg(0, 8)), healthy=SECOND)
def segment_with_an_unknown_stream(p):
    rebuild(p, 0, payloads=lambda s: {**s, "music": b"abc"})


@case(("segment/stream-type", seg(0, 8)), healthy=SECOND)
def segment_with_a_stream_of_another_type(p):
    data = segment_path(p, 0).read_bytes()
    segment_path(p, 0).write_bytes(data.replace(b'"raw":{"dtype":"U8"', b'"raw":{"dtype":"I8"'))
    seal(p)


@case(("segment/stream-missing", seg(0)), healthy=SECOND)
def segment_without_raw(p):
    rebuild(p, 0, payloads={})


@case(("segment/stream-surplus", "*"), healthy=SECOND | {0, 1})
def segment_with_raw_that_no_tensor_uses(p):
    rebuild(p, 2, payloads=lambda s: {**s, "raw": b"abc"})


@case(("segment/stream-surplus", seg(0, 8)), healthy=SECOND)
def segment_with_two_codings_of_a_stream(p):
    rebuild(p, 0, payloads=lambda s: {**s, "raw.zstd": b"abc"})


@case(("segment/stream-length", "*"), healthy=SECOND)
def segment_with_a_byte_too_many_in_raw(p):
    rebuild(p, 0, payloads=lambda s: {"raw": s["raw"] + b"\0"})


@case(("segment/stream-length", seg(0)), healthy=SECOND)
def segment_with_too_few_modes(p):
    rebuild(p, 0, modes=lambda m: m[:-1])


@case(("segment/mode", seg(1)), healthy=SECOND | {0})
def unknown_mode(p):
    rebuild(p, 1, modes=lambda m: np.where(np.arange(len(m)) == 2, 9, m).astype("u1"))


@case(("segment/mode-key-frame", seg(3)), healthy=FIRST)
def skip_in_a_key_frame(p):
    rebuild(p, 3, modes=lambda m: np.where(np.arange(len(m)) == 3, 1, m).astype("u1"))


@case(("segment/mode-reference", seg(2)), on="growing", healthy=SECOND | {0, 1})
def skip_of_a_tensor_that_was_not_there(p):
    rebuild(p, 2, modes=lambda m: np.append(m[:-1], np.uint8(1)), payloads=without("raw"))


def without(name: str):
    return lambda streams: {n: s for n, s in streams.items() if not n.startswith(name)}


@case(("segment/shapes", seg(0)), healthy=SECOND)
def shape_of_a_row_that_is_absent(p):
    rebuild(p, 0, shapes={40: (1,)})


@case(("segment/shapes", seg(0)), healthy=SECOND)
def shape_that_is_the_usual_one(p):
    rebuild(p, 0, shapes={0: (32, 16)})


@case(("segment/shapes", seg(1)), healthy=SECOND | {0})
def shape_of_a_tensor_that_is_skipped(p):
    rebuild(p, 1, shapes={3: (400, 1)})


@case(("segment/shapes", seg(0)), healthy=SECOND)
def shape_of_2_to_the_60_elements(p):
    rebuild(p, 0, shapes={0: (2**30, 2**30)})


@case(("segment/shapes", seg(0)), healthy=SECOND)
def shape_of_0_elements_by_2_to_the_63(p):
    rebuild(p, 0, shapes={0: (2**63, 2**63, 0)})


@case(("segment/state-bytes", seg(0)), healthy=SECOND)
def shape_of_more_elements(p):
    rebuild(p, 0, shapes={0: (33, 16)})


@case(("decoding/state-digest-mismatch", "/frames/0/state_digest"), healthy=SECOND)
def shape_transposed(p):
    rebuild(p, 0, shapes={0: (16, 32)})


@case(("segment/state-bytes", seg(0)), healthy=SECOND)
def state_bytes_wrong(p):
    edit(p, "/frames/state_bytes", lambda a: a.__setitem__(0, a[0] + 1))


@case(("segment/name-twice", seg(1)), on="retyped", healthy=ALL - {1})
def name_twice_in_one_state(p):
    rebuild(
        p,
        1,
        modes=np.array([1, 2], "u1"),
    )
    edit(p, "/frames/state_bytes", lambda a: a.__setitem__(1, 12 + 24))
    seal(p)
