"""PROTOCOL.md: what it says is so. What it shows is run by ``test_prose_commands``."""

from __future__ import annotations

from programs import CONFORMANCE

from nmc_conformance import PROTOCOL_VERSION
from nmc_conformance.judge import VERDICTS
from nmc_conformance.process import Limits

TEXT = (CONFORMANCE / "PROTOCOL.md").read_text(encoding="utf-8")


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


def test_the_version_is_the_one_it_says() -> None:
    assert f"the whole protocol, version {PROTOCOL_VERSION}." in TEXT
