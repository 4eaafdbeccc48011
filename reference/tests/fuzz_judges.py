"""What ``fuzz_inputs`` does to its sources, and what it demands of what comes of them."""

from __future__ import annotations

import contextlib
import io
import json
import random
import shutil
from functools import partial
from pathlib import Path
from typing import Literal

import fuzz_sources
import numpy as np
from blake3 import blake3
from fuzz_cases import Wrong
from fuzz_odd import ODD, damage_bytes, damage_journal, damage_structure, put_odd

import nmc
from nmc.reading.keys import read_public_keys
from nmc_format.issues import FormatError
from nmc_tools.adaptive.choice import Always, Dynamic
from nmc_tools.adaptive.opening import read_document
from nmc_tools.adaptive.packages import Decoder, Packages
from nmc_tools.adaptive.session import Session
from nmc_tools.adaptive.terms import Terms
from nmc_tools.bridges import refit, sparse_patches
from nmc_tools.checkpoints import TARGETS, CheckpointError, read, read_source, select
from nmc_tools.checkpoints.checkpoint import Checkpoint
from nmc_tools.checkpoints.extras import configuration_of
from nmc_tools.cli import app


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
    with nmc.open(path) as sequence:
        if any(medium.read() not in fuzz_sources.MEDIA for medium in sequence.media.values()):
            raise Wrong("recovered with a medium that was never written")
    return f"journal recovered, {report.frames} frames"


def judge_checkpoint(rng: random.Random, source: Path, folder: Path) -> str:
    """Read a checkpoint that was damaged; what is read is packed and unpacked."""
    path = folder / source.name
    damage = rng.choice([damage_bytes, damage_structure])
    if source.is_dir():
        shutil.copytree(source, path)
        victim = rng.choice(sorted(file for file in path.rglob("*") if file.is_file()))
        victim.write_bytes(damage(rng, victim.read_bytes()))
    else:
        path.write_bytes(damage(rng, source.read_bytes()))
    for part in source.parent.glob(f"{source.stem}.data-*"):  # of an index of TensorFlow
        if part != source:
            shutil.copy(part, folder)
    try:
        made = _read_first(path, rng.choice(["weights", "all"]))
        with nmc.Writer(folder / "x.nmc", configuration=configuration_of(made, None)) as writer:
            writer.append(made.state)
    except (CheckpointError, FormatError):
        return f"{source.suffix or source.name} refused"
    _unpack(rng, folder / "x.nmc", folder / "out")
    return f"{source.suffix or source.name} read"


def _read_first(path: Path, keep: Literal["weights", "all"]) -> Checkpoint:
    """Read a file, or the first model of a folder."""
    if not path.is_dir():
        return read(path, keep=keep)
    return read_source(select([path]).sources[0], partial(read, keep=keep))


def judge_notes(rng: random.Random, source: Path, folder: Path) -> str:
    """Unpack a package that says odd things of the checkpoint that it came from."""
    try:
        made = _read_first(source, "all" if source.suffix in (".pt", ".pth") else "weights")
    except CheckpointError:
        return "notes of a part"
    configuration = json.loads(json.dumps(configuration_of(made, None)))
    for _ in range(rng.choice([1, 1, 2])):
        values = [*ODD, "%9999999d", "%s%s", {"tensor": "w"}, {"tuple": 7}, {"int": "x"}, "ply\n"]
        put_odd(rng, configuration, values)
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
    with Hurried(presentation, str(path), Terms()) as packages, Decoder(packages) as decoder:
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
