"""Commands that read a package from a server: as from a path."""

from __future__ import annotations

import functools
import http.server
import json
import threading

import numpy as np
import pytest
from typer.testing import CliRunner

import nmc
from nmc_tools.cli import app


@pytest.fixture
def served(tmp_path):
    """A folder with a package, and its address on Python's own server, which knows no ranges."""
    states = [{"a": np.full((4, 4), t, "f4")} for t in range(5)]
    with nmc.Writer(tmp_path / "a.nmc", key_every=2) as writer:
        for state in states:
            writer.append(state)
    with nmc.Writer(tmp_path / "d.nmc", key_every=2, directory=True) as writer:
        for state in states:
            writer.append(state)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield tmp_path, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.mark.parametrize("name", ["a.nmc", "d.nmc"])
def test_commands_take_addresses(served, name):
    folder, url = served
    address = f"{url}/{name}"
    checked = run("check", address)
    assert checked.exit_code == 0
    assert f"{address}: accepted, 5 of 5 frames decoded and right" in checked.output
    described = run("inspect", address, "--json")
    local = run("inspect", folder / name, "--json")
    assert json.loads(described.stdout) == json.loads(local.stdout)
    assert run("inspect", address).exit_code == 0
    assert run("unpack", address, "-o", folder / "frames").exit_code == 0
    assert len(list((folder / "frames").iterdir())) == 5
    assert run("diff", address, folder / name).exit_code == 0
    assert run("diff", f"{address}@1", f"{folder / name}@2").exit_code == 1
    assert run("extract", address, "-o", folder / "some.nmc", "--frames", "2-3").exit_code == 0
    assert nmc.check(folder / "some.nmc").frames == 2


def test_a_secret_is_not_printed(served):
    _, url = served
    checked = run("check", f"{url}/a.nmc?token=secret")
    assert checked.exit_code == 0
    assert "secret" not in checked.output


def test_a_refusal_is_one_line(served):
    _, url = served
    with pytest.raises(nmc.FormatError) as caught:
        run("inspect", f"{url}/none.nmc")
    assert caught.value.finding.code == "host/not-found"
    checked = run("check", f"{url}/none.nmc")
    assert checked.exit_code == 1
    assert "not found" in checked.output
