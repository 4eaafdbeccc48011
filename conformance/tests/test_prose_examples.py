"""The examples of the prose: every fenced block is run, or says why it is not."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import random
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import prose
import pseudocode
import pytest
import worked_example
import worked_trace
from arithmetic import coder_words
from blake3 import blake3
from cases import input_files
from freezing import freezing_cases
from programs import VECTORS, suite
from writers import hdf5_writer, listing, package_writer, stream_writer

from nmc_conformance.schemas import fault
from nmc_conformance.subject import Description
from nmc_spec import issues

if TYPE_CHECKING:
    from pathlib import Path

IDS = [vector.id for vector in suite().vectors]
RUN = {
    "blake3": "04-model",
    "encryption": "14-encryption",
    "media": "16-media",
    "coder": ("08-arithmetic", "12-quantised"),
    "frames": "spec/text/",
    "freezing": "09-freezing",
    "lookup3": "annex-d",
    "freeze": "annex-b",
    "json view": "09",
    "json report": "11",
    "json suite": "11",
    "json description": "PROTOCOL",
    "json serve": "PROTOCOL",
}
"""What the tests of this module run by the name in the mark, and the documents it is in."""

DUMP = re.compile(r"^[0-9a-f]{4,}  ((?:[0-9a-f]{2} ){1,16}) +\|.*\|$")


def is_dump(block: prose.Block) -> bool:
    return block.language == "text" and all(map(DUMP.match, block.text.splitlines()))


def octets(block: prose.Block) -> bytes:
    return b"".join(bytes.fromhex(DUMP.match(line)[1]) for line in block.text.splitlines())  # type: ignore[index]


@pytest.mark.parametrize("block", prose.BLOCKS, ids=str)
def test_every_block_is_run_or_says_why_not(block: prose.Block) -> None:
    if block.mark == "run":
        documents = RUN[block.subject]
        named = (documents,) if isinstance(documents, str) else documents
        assert any(document in block.file for document in named)
    elif block.mark == "not run":
        assert not block.language, "what is in a language is run"
        reason, _, named = block.subject.partition("; vectors ")
        assert len(reason) > 5
        unknown = [p for p in named.split() if not fnmatch.filter(IDS, p)]
        assert unknown == []
    else:  # shell, Python and YAML are run by test_prose_commands
        assert block.language in {"sh", "python", "yaml"} or is_dump(block)


@pytest.mark.parametrize(
    ("language", "mark", "subject"),
    [
        ("", "", ""),
        ("json", "", ""),
        ("text", "", ""),
        ("", "run", "no such name"),
        ("", "not run", "why"),
        ("python", "not run", "it is hard to run"),
        ("", "not run", "judged elsewhere; vectors 06-segment/no-such-vector"),
    ],
)
def test_a_new_block_does_not_slip_through(language: str, mark: str, subject: str) -> None:
    block = prose.Block("spec/text/06-segment.md", 1, language, mark, subject, "x\n", "")
    with pytest.raises((AssertionError, KeyError)):
        test_every_block_is_run_or_says_why_not(block)


def test_every_name_has_its_block() -> None:
    assert {b.subject for b in prose.BLOCKS if b.mark == "run"} == {*RUN}


DUMPS = [block for block in prose.BLOCKS if is_dump(block)]


def test_dumps_are_the_bytes_of_the_generator() -> None:
    frame_0, frame_1 = worked_example.segments()
    scalar = package_writer.tensor_preimage("I64", (), (1000).to_bytes(8, "little"))
    digests = {
        cells[0].strip("`"): bytes.fromhex(cells[2].strip("`"))
        for cells in prose.table("spec/text/annex-e-worked-example.md", "| Of | Frame | SHA-256 |")
        if cells[1] == "0"
    }
    state_digest = digests.pop("**state**")
    state = package_writer.state_preimage(digests)
    manifest = package_writer.manifest_preimage(worked_example.objects())
    found = [octets(block) for block in DUMPS]
    traced = [
        worked_trace.chain(variant).frames[1].payloads[worked_trace.STREAM]
        for variant in (worked_trace.STATIC, worked_trace.ADAPTIVE, worked_trace.MIXED)
    ]
    assert found == [frame_0, frame_1, scalar, state, manifest[: len(found[4])], *traced]
    assert hashlib.sha256(state).digest() == state_digest
    assert hashlib.sha256(scalar).digest() == digests["step"]


@pytest.mark.parametrize("block", DUMPS, ids=str)
def test_dumps_have_their_offsets_and_texts(block: prose.Block) -> None:
    assert listing.dump(octets(block)) == f"```text\n{block.text}```\n"


def test_the_table_of_element_types() -> None:
    head = "| Name | Element, bits | Word, bits | Exponent, bits | Mantissa, bits | Element |"
    rows = prose.table("spec/text/04-model.md", head)
    assert sorted(name.strip("`") for name, *_ in rows) == sorted(stream_writer.BITS)
    for name, bits, word, exponent, mantissa, _ in rows:
        dtype = name.strip("`")
        word_format = (int(word), int(exponent), int(mantissa))
        assert int(bits) == stream_writer.BITS[dtype]
        assert word_format[0] == 8 * stream_writer.WORD_BYTES[dtype]
        assert word_format == coder_words.WORD_FORMATS.get(dtype, (word_format[0], 0, 0))


def test_tags_and_signatures() -> None:
    """Bytes that stand in the prose are those of the text beside them."""
    found = 0
    for path in prose.DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        pattern = r"ASCII `([^`]+)`, then one zero byte:\s+`((?:[0-9A-F]{2} ?)+)`"
        for ascii_text, octets_ in re.findall(pattern, text):
            assert bytes.fromhex(octets_) == ascii_text.encode() + b"\0"
            found += 1
    assert found == 3
    package = (prose.ROOT / "spec/text/05-package.md").read_text(encoding="utf-8")
    signature = re.search(r"signature of HDF5\s+\(`([^`]+)`\)", package)
    assert signature is not None
    manifest = (worked_example.VECTOR / "package.nmc" / "manifest.h5").read_bytes()
    assert manifest[:8] == bytes.fromhex(signature[1])


def test_the_checksum_of_hdf5() -> None:
    elsewhere = {"u32": pseudocode.U32, "zero_bytes": bytes}
    lookup3 = pseudocode.program("lookup3", **elsewhere)["lookup3"]
    text = (prose.ROOT / "spec/text/annex-d-compact-hdf5.md").read_text(encoding="utf-8")
    example = re.search(r"ASCII text `([^`]+)` is (0x[0-9A-F]{8})\.", text)
    assert example is not None
    assert lookup3(example[1].encode()) == int(example[2], 16)
    rng = random.Random(6)
    for n in range(30):
        data = rng.randbytes(n)
        assert lookup3(data) == hdf5_writer.lookup3(data)


BLAKE3_SIZES = [0, 1, 3, 4, 63, 64, 65, 127, 128, 129, 1023, 1024, 1025, 2048, 2049, 3072, 3073]
BLAKE3_SIZES += [4096, 4097, 5121, 8193, 16385]


def test_the_hash_of_tensors() -> None:
    """The text's BLAKE3 is that of its authors, around the ends of blocks, leaves and halves."""
    elsewhere = {"LE32": lambda x: x.to_bytes(4, "little"), "joined": b"".join}
    found = pseudocode.program("blake3", **elsewhere, zero_bytes=bytes)["BLAKE3"]
    text = (prose.ROOT / "spec/text/04-model.md").read_text(encoding="utf-8")
    example = re.search(r"The BLAKE3 of no bytes is `(\w+)`", text)
    assert example is not None
    assert found(b"").hex() == example[1]
    rng = random.Random(7)
    for n in BLAKE3_SIZES:
        data = rng.randbytes(n)
        assert found(data) == blake3(data).digest()


def test_the_bits_of_the_example() -> None:
    text = (prose.ROOT / "spec/text/09-freezing.md").read_text(encoding="utf-8")
    pattern = r"EXAMPLE In a table of ten rows.*rows (.*) are trained, the bytes are `(.*)`:"
    example = re.search(pattern, text)
    assert example is not None
    rows = {int(n) for n in re.findall(r"\d+", example[1])}
    grad = [bytes.fromhex(example[2])]
    bit = pseudocode.program("freezing", requires_grad=grad)["bit"]
    assert {i for i in range(16) if bit(0, i)} == rows


def test_the_freezing_of_annex_b() -> None:
    class Parameter:
        requires_grad = False

    class Layer:
        def __init__(self, *inner: Layer) -> None:
            self.own, self.inner = [Parameter(), Parameter()], inner

        def parameters(self) -> list[Parameter]:
            return self.own + [p for layer in self.inner for p in layer.parameters()]

    layers = [Layer() for _ in range(4)]
    exec(
        prose.marked("freeze").text,
        {"model": Layer(*layers), "layers": layers, "exclude_layers": [0, 2]},
    )
    found = [[p.requires_grad for p in layer.parameters()] for layer in layers]
    assert found == [[False] * 2, [True] * 2, [False] * 2, [True] * 2]


def test_json_by_its_schema() -> None:
    report = json.loads(prose.marked("json report").text)
    assert fault(report, "report") == ""
    for finding in report["findings"]:
        assert issues()[finding["code"]].clause == finding["clause"]
    suite = json.loads(prose.marked("json suite").text)
    assert suite == json.loads((VECTORS / "suite.json").read_bytes())
    description = json.loads(prose.marked("json description").text)
    assert description["protocol"] == 1
    assert description.keys() - {"protocol"} == Description.__dataclass_fields__.keys()


def reference(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nmc_tools.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_json_view_of_the_worked_example() -> None:
    wanted = json.loads(prose.marked("json view").text)
    view = json.loads(
        reference("inspect", str(worked_example.VECTOR / "package.nmc"), "--json").stdout
    )
    frame = view["frames"][1]
    assert wanted == {
        "parameters": view["model"]["parameters"],
        "requires_grad": frame["requires_grad"],
        "exclude_layers": frame["exclude_layers"],
    }


def test_the_table_of_the_worked_example() -> None:
    rows = prose.table("spec/text/09-freezing.md", "| Object | Frame 0 | Frame 1 |")
    text = {name.strip("`"): [a, b] for name, a, b in rows}
    objects = worked_example.objects()
    for name in ("trained_from", "requires_grad_known", "exclude_layers_count"):
        values = [int(cell.replace("\N{MINUS SIGN}", "-")) for cell in text[name]]
        assert values == objects[f"/training/{name}"].tolist()
    bits = [int(cell.strip("`"), 16) for cell in text["requires_grad"]]
    assert [[b] for b in bits] == objects["/training/requires_grad"].tolist()
    assert [int(text["exclude_layers"][1])] == objects["/training/exclude_layers"].tolist()


def test_the_table_of_two_layers(tmp_path: Path) -> None:
    """Each line is made into a package, and the reference says whether it conforms."""
    head = "| `requires_grad`, frames 0 and 1 | Lists of frames 0 and 1 | Conforms | Why |"
    rows = prose.table("spec/text/09-freezing.md", head)
    late = next(c for c in freezing_cases.cases() if c.id == "09-freezing/late-layer")
    wanted = {}
    for number, (bits, lists, conforms, _) in enumerate(rows):
        record: dict[str, Any] = {"/training/trained_from": np.array([-1, 0], "<i8")}
        if "`" in bits:
            values = [[int(b, 16)] for b in re.findall(r"`([0-9a-f]{2})`", bits)]
            record["/training/requires_grad"] = np.array(values, "u1")
            record["/training/requires_grad_known"] = np.ones(2, "u1")
        if "[" in lists:
            layers = json.loads(f"[{lists}]")
            record["/training/exclude_layers"] = np.array(
                [n for some in layers for n in some], "<i4"
            )
            counts = np.array([len(some) for some in layers], "<i4")
            record["/training/exclude_layers_count"] = counts
        case = late.vary(late.id, "", "9.3", chain=freezing_cases.objects_of(late.chain, record))
        path = tmp_path / f"{number}.nmc"
        path.write_bytes(input_files(case)[""])
        wanted[str(path)] = conforms == "yes"
    assert 0 < sum(wanted.values()) < len(wanted)
    done = reference("check", "--json", *wanted)
    reports = json.loads(done.stdout)
    found = {report["path"]: report["accepted"] for report in reports}
    assert found == wanted
