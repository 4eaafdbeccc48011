"""The damages that ``fuzz_inputs`` does: to bytes, to lines of text, to JSON, to journals."""

from __future__ import annotations

import json
import random
import re
import zlib
from typing import Any

ODD: list[Any] = [None, True, -1, 0, 2**63, -(2**63) - 1, 1e308, "", "\0", "\ud800", [], {}, [[]]]
"""Values that no writer writes at most places."""


def _summed(text: bytes) -> bytes:
    return f"{zlib.crc32(text):08x} ".encode() + text


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    made = []
    for name, below in inner:
        made.append((*at, name))
        if isinstance(below, dict | list):
            made += _places(below, (*at, name))
    return made


def _odd_value(rng: random.Random, line: bytes) -> bytes:
    """Put an odd value somewhere into a line, and leave its checksum right."""
    content = json.loads(line[9:])
    put_odd(rng, content, [*ODD, rng.getrandbits(70)])
    return _summed(json.dumps(content).encode())


def put_odd(rng: random.Random, content: Any, values: list[Any]) -> None:
    """Put an odd value somewhere into a JSON document, or take one out."""
    places = _places(content) if isinstance(content, dict | list) else []
    if not places:
        return  # it took out all there was
    *way, last = rng.choice(places)
    node = content
    for name in way:
        node = node[name]
    if rng.random() < 0.2:
        del node[last]
    else:
        node[last] = rng.choice(values)


def damage_journal(rng: random.Random, data: bytes) -> bytes:
    """Return a journal with lines changed, left out, doubled, exchanged or torn."""
    lines = data.split(b"\n")[:-1]
    for _ in range(rng.randrange(1, 4)):
        if not lines:
            break
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        match rng.randrange(7):
            case 0:
                del lines[i]
            case 1:
                lines.insert(i, lines[j])
            case 2:
                lines[i], lines[j] = lines[j], lines[i]
            case 3:
                lines[i] = lines[i][: rng.randrange(len(lines[i]) + 1)]
            case 4:
                lines[i] = damage_bytes(rng, lines[i])
            case 5:
                lines[i] = _summed(damage_bytes(rng, lines[i][9:]))
            case _:
                try:
                    lines[i] = _odd_value(rng, lines[i])
                except (ValueError, IndexError, TypeError, AttributeError):
                    continue  # damaged before
    return b"".join(line + b"\n" for line in lines)


def damage_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with a few changed, cut out, doubled or filled with one value."""
    made = bytearray(data)
    for _ in range(rng.randrange(1, 5)):
        if not made:
            break
        at, size = rng.randrange(len(made)), rng.choice([1, 1, 2, 4, 8, 64])
        match rng.randrange(5):
            case 0 | 1:
                made[at] ^= 1 << rng.randrange(8)
            case 2:
                made[at : at + size] = bytes([rng.choice([0, 255, 127, 128])]) * size
            case 3:
                del made[at : at + size]
            case _:
                made[at:at] = made[at : at + size]
    return bytes(made)


def damage_structure(rng: random.Random, data: bytes) -> bytes:
    """Put an odd value into the JSON of a file, lengths set right; else damage its bytes.

    Safetensors have it after 8 bytes that say how long it is, .glb after 20 bytes of chunks.
    """
    try:
        if data[:1] == b"{":
            return _odd_json(rng, data)
        if data[:4] == b"glTF":
            size = int.from_bytes(data[12:16], "little")
            text = _odd_json(rng, data[20 : 20 + size])
            text += b" " * (-len(text) % 4)
            rest = data[20 + size :]
            whole = (20 + len(text) + len(rest)).to_bytes(4, "little")
            return data[:8] + whole + len(text).to_bytes(4, "little") + data[16:20] + text + rest
        if data[8:9] == b"{":
            size = int.from_bytes(data[:8], "little")
            text = _odd_json(rng, data[8 : 8 + size])
            return len(text).to_bytes(8, "little") + text + data[8 + size :]
    except (ValueError, IndexError, TypeError):
        pass  # JSON in another form
    return damage_bytes(rng, data)


def _odd_json(rng: random.Random, data: bytes) -> bytes:
    content = json.loads(data)
    put_odd(rng, content, [*ODD, 1.0, 3.0, 10**400, float("inf"), float("nan"), "../x", 2**40])
    return json.dumps(content).encode()


NUMBER = re.compile(rb"[-+]?[0-9]+(?:[.][0-9]+)?(?:[eE][-+]?[0-9]+)?")
NUMBERS = (b"nan", b"inf", b"-inf", b"1e400", b"-1", b"0", b"-0.0", b"1e308", b"5e-324", b"9" * 40)
NUMBERS += (b"", b"0x10", b"1_0", b"true", "٣".encode(), b"99999999999")


def damage_text(rng: random.Random, data: bytes) -> bytes:
    """Put odd numbers in place of some, exchange lines, or leave one out."""
    for _ in range(rng.randrange(1, 4)):
        found = list(NUMBER.finditer(data))
        if found and rng.random() < 0.7:
            at = rng.choice(found)
            data = data[: at.start()] + rng.choice(NUMBERS) + data[at.end() :]
            continue
        lines = data.split(b"\n")
        i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
        if rng.random() < 0.5:
            lines[i], lines[j] = lines[j], lines[i]
        else:
            del lines[i]
        data = b"\n".join(lines)
    return data
