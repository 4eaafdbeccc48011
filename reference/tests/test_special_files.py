"""Pipes and the like in place of members: refused for what they are, and never opened."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from nmc_samples import chain, write

import nmc


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
@pytest.mark.parametrize("name", ["manifest.h5", "segments/00000001.safetensors"])
def test_a_pipe_in_place_of_a_member_is_looked_at_and_not_opened(tmp_path, name) -> None:
    """Whoever waits for a reader at its other end goes on waiting."""
    path = write(tmp_path / "x.nmc", chain(3), directory=True)
    (path / name).unlink()
    os.mkfifo(path / name)
    program = "import os, sys; print('ready', flush=True); os.open(sys.argv[1], os.O_WRONLY)"
    command = [sys.executable, "-S", "-c", program, path / name]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        try:
            assert writer.stdout.readline() == b"ready\n"
            report = nmc.check(path)
            with pytest.raises(subprocess.TimeoutExpired):
                writer.wait(timeout=0.5)
        finally:
            writer.kill()
    assert "package/not-a-file" in {found.code for found in report.findings}
