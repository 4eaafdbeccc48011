"""What ``fuzz_inputs`` does to its sources, and what it demands of what comes of them."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
import zlib
from pathlib import Path
from typing import Any

import fuzz_sources
import numpy as np
from blake3 import blake3

import nmc
from nmc.reading.keys import read_public_keys
from nmc_format.issues import FormatError
from nmc_tools.adaptive.choice import Always, Dynamic
from nmc_tools.adaptive.opening import read_document
from nmc_tools.adaptive.packages import Decoder, Packages
from nmc_tools.adaptive.session import Session
from nmc_tools.bridges import refit, sparse_patches
from nmc_tools.checkpoints import TARGETS, CheckpointError, read
from nmc_tools.checkpoints.extras import configuration_of
from nmc_tools.cli import app

ODD: list[Any] = [None, True, -1, 0, 2**63, -(2**63) - 1, 1e308, "", "\0", "\ud800", [], {}, [[]]]
"""Values that no writer writes at most places."""


class Wrong(AssertionError):
    """A case that ended as none may."""


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
    _put_odd(rng, content, [*ODD, rng.getrandbits(70)])
    return _summed(json.dumps(content).encode())


def _put_odd(rng: random.Random, content: Any, values: list[Any]) -> None:
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
    _put_odd(rng, content, [*ODD, 1.0, 3.0, 10**400, float("inf"), float("nan"), "../x", 2**40])
    return json.dumps(content).encode()


def judge_journal(rng: random.Random, source: Path, folder: Path) -> str:
    """Recover a package whose journal was damaged."""
    place = folder / source.name
    shutil.copytree(source, place)
    journal = place / "journal.ndjson"
    journal.write_bytes(damage_journal(rng, journal.read_bytes()))
    path = folder / source.name.removesuffix(".partial")
    try:
        nmc.recover(path)
    except FormatError as refused:
        return f"journal {refused.finding.code}"
    report = nmc.check(path)
    if not report.accepted:
        raise Wrong(f"recovered, and refused by the check: {report.findings[0]}")
    return f"journal recovered, {report.frames} frames"


def judge_checkpoint(rng: random.Random, source: Path, folder: Path) -> str:
    """Read a checkpoint that was damaged; what is read is packed and unpacked."""
    path = folder / source.name
    damage = rng.choice([damage_bytes, damage_structure])
    path.write_bytes(damage(rng, source.read_bytes()))
    for part in source.parent.glob(f"{source.stem}.data-*"):  # of an index of TensorFlow
        if part != source:
            shutil.copy(part, folder)
    try:
        made = read(path, keep=rng.choice(["weights", "all"]))
        with nmc.Writer(folder / "x.nmc", configuration=configuration_of(made, None)) as writer:
            writer.append(made.state)
    except (CheckpointError, FormatError):
        return f"{source.suffix} refused"
    _unpack(rng, folder / "x.nmc", folder / "out")
    return f"{source.suffix} read"


def judge_notes(rng: random.Random, source: Path, folder: Path) -> str:
    """Unpack a package that says odd things of the checkpoint that it came from."""
    try:
        made = read(source, keep="all" if source.suffix in (".pt", ".pth") else "weights")
    except CheckpointError:
        return "notes of a part"
    configuration = json.loads(json.dumps(configuration_of(made, None)))
    for _ in range(rng.choice([1, 1, 2])):
        values = [*ODD, "%9999999d", "%s%s", {"tensor": "w"}, {"tuple": 7}, {"int": "x"}, "ply\n"]
        _put_odd(rng, configuration, values)
    try:
        with nmc.Writer(folder / "x.nmc", configuration=configuration) as writer:
            writer.append(made.state)
    except (FormatError, ValueError, TypeError):
        return "notes no package has"
    return _unpack(rng, folder / "x.nmc", folder / "out")


def _unpack(rng: random.Random, package: Path, output: Path) -> str:
    to = rng.choice(TARGETS)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            app(["unpack", str(package), "-o", str(output), "--to", to], standalone_mode=False)
        except (CheckpointError, FormatError):
            return f"unpacked to {to}, refused"
    return f"unpacked to {to}"


def judge_followed(rng: random.Random, source: Path, folder: Path) -> str:
    """Follow a package whose journal was damaged: what a reader sees was written, or is refused."""
    place = folder / source.name
    shutil.copytree(source, place)
    journal = place / "journal.ndjson"
    journal.write_bytes(damage_journal(rng, journal.read_bytes()))
    path = folder / source.name.removesuffix(".partial")
    frames = 0
    try:
        with nmc.follow(path, poll=0.001, timeout=0.002) as states:
            for state in states:
                if "a" in state and not np.array_equal(state["a"], np.full((4, 5), frames, "f4")):
                    raise Wrong(f"frame {frames} was never written")
                frames += 1
    except FormatError as refused:
        return f"followed, {frames} frames, {refused.finding.code}"
    return "followed to an end"


def judge_message(rng: random.Random, source: Path, folder: Path) -> str:
    """Apply a message that was damaged: the state that it makes, or none."""
    del folder
    before = fuzz_sources.state_before(source)
    whole = source.read_bytes()
    data = damage_bytes(rng, whole)
    if rng.random() < 0.8:  # its digest right again, so that what lies behind is reached
        data = damage_bytes(rng, whole[:-32])
        data = data[:8] + (len(data) + 32).to_bytes(8, "little") + data[16:]
        data += blake3(data).digest()
    try:
        made = nmc.apply(before, data)
    except FormatError as refused:
        return f"message {refused.finding.code}"
    right = nmc.apply(before, whole)
    if made.keys() != right.keys() or any(made[n].tobytes() != right[n].tobytes() for n in made):
        raise Wrong("a damaged message makes another state")
    return "message as it was" if data == whole else "message read"


def judge_document(rng: random.Random, source: Path, folder: Path) -> str:
    """Read and play a presentation document that was damaged."""
    shutil.copytree(source.parent, folder / "d")
    path = folder / "d" / source.name
    path.write_bytes(rng.choice([damage_bytes, damage_structure])(rng, source.read_bytes()))
    try:
        presentation = read_document(str(path), {})
    except FormatError as refused:
        return f"document {refused.finding.code}"
    with Hurried(presentation, str(path), {}) as packages, Decoder(packages) as decoder:
        choice = rng.choice([Dynamic(target=6.0), Always(0), Always(-1)])
        report = Session(presentation, packages, choice, decoder.accept, most=12.0).run()
    json.dumps(report.to_json(presentation), allow_nan=False)
    if decoder.errors:
        raise Wrong(f"a sound package is refused: {decoder.errors[0]}")
    return "document played" if decoder.frames == 6 else "document played in part"


class Hurried(Packages):
    """A line on which waiting takes no time."""

    clock = 0.0

    def now(self) -> float:
        """Return the time that went by, as it were."""
        return self.clock

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.clock += seconds


def judge_key(rng: random.Random, source: Path, folder: Path) -> str:
    """Read a file of keys that was damaged, as a public and as a private one."""
    path = folder / source.name
    path.write_bytes(damage_bytes(rng, source.read_bytes()))
    made = []
    for read_key in (read_public_keys, lambda p: nmc.PrivateKey.read(p, "secret")):
        try:
            read_key(path)
            made.append("read")
        except FormatError:
            made.append("refused")
    return f"key {' and '.join(made)}"


def judge_chain(rng: random.Random, source: Path, folder: Path) -> str:
    """Import a chain of delta checkpoints of which one file was damaged."""
    place = folder / "chain"
    shutil.copytree(source, place)
    files = sorted(path for path in (place / "versions").rglob("*") if path.is_file())
    victim = rng.choice(files)
    victim.write_bytes(rng.choice([damage_bytes, damage_structure])(rng, victim.read_bytes()))
    base = read(place / "base.safetensors").state
    kind = next(
        (kind for kind in (refit, sparse_patches) if kind.is_chain(place / "versions")), None
    )
    if kind is None:
        return "chain not recognised"
    try:
        made = [state for _, state in kind.states_of(place / "versions", base)]
    except (CheckpointError, FormatError):
        return "chain refused"
    for state in made:
        nmc.encode_delta(None, state, entropy="none")
    return "chain read"
