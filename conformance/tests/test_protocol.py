"""PROTOCOL.md: what it shows runs, and what it says is so."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

from programs import CONFORMANCE, VECTORS

from nmc_conformance import PROTOCOL_VERSION, commands
from nmc_conformance.judge import VERDICTS
from nmc_conformance.process import Limits

TEXT = (CONFORMANCE / "PROTOCOL.md").read_text(encoding="utf-8")

LIBRARY = """
import sys

sys.path.insert(0, {selftest!r})
from plain_decoder import Decoder, RejectedError as Refused, UnsupportedError as Unsupported


class open_package(Decoder):
    def __init__(self, path):
        from pathlib import Path
        super().__init__(Path(path))

    def __len__(self):
        return len(self.coding)

    def state(self, t):
        return [(n, x.dtype, x.shape, x.data) for n, x in self.frame(t).items()]
"""


def block(language: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return blocks[-1]


def test_the_adapter_runs(tmp_path: Path) -> None:
    (tmp_path / "adapter.py").write_text(block("python"), encoding="utf-8")
    library = LIBRARY.format(selftest=str(CONFORMANCE / "selftest"))
    (tmp_path / "my_decoder.py").write_text(library, encoding="utf-8")
    command = shlex.join([sys.executable, str(tmp_path / "adapter.py")])
    select = ("04-model/*", "07-decoding/raw-bit", "06-segment/zstd")
    run = commands.run(
        commands.RunOptions("decoder", command, vectors=VECTORS, select=select, quiet=True)
    )
    assert {r.vector: r.detail for r in run.results if r.verdict == "fail"} == {}
    assert run.counts["unsupported"] == 1
    assert run.passed


def test_the_adapter_has_sixty_lines() -> None:
    assert 50 <= len(block("python").splitlines()) <= 75


def test_the_description_is_json() -> None:
    assert json.loads(block("json"))["protocol"] == PROTOCOL_VERSION


def test_every_verdict_is_described() -> None:
    table = TEXT.partition("| Verdict |")[2]
    assert [verdict for verdict in VERDICTS if verdict not in table] == []


def test_the_limits_are_the_ones_it_says() -> None:
    limits = Limits()
    assert (limits.seconds, limits.memory, limits.output, limits.file) == (
        30,
        2 << 30,
        16 << 20,
        1 << 30,
    )
    assert "30 s (`--timeout`), 2 GiB of memory (`--memory`), 16 MiB of output" in TEXT
