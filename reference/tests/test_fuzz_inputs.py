"""A short run of the damage that ``make fuzz`` does to journals and checkpoints."""

from __future__ import annotations

import fuzz_inputs
import fuzz_judges
import pytest
from fuzz_cases import Cases, Wrong


@pytest.mark.slow(minutes=0.03)
def test_200_damaged_journals_and_checkpoints() -> None:
    made = fuzz_inputs.run(Cases(200, seed=20261121))
    assert sum(made.values()) == 200
    assert any(what.startswith("journal recovered") for what in made)
    assert any(what.endswith("refused") for what in made)


def test_a_recovery_that_lies_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_judges.nmc, "recover", lambda _: 3)
    with pytest.raises(Wrong, match="refused by the check"):
        fuzz_inputs.run(Cases(2, seed=1))
