"""Keys that ssh-agent keeps: the real one where it is there, and agents that answer anything."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager

import pytest
from nmc_samples import chain, write

import nmc
from nmc.writing.agent_keys import AgentKey
from nmc.writing.private_keys import PrivateKey
from nmc.writing.signing import sign, signing_key

pytest.importorskip("cryptography", reason="the extra trust is not installed")


@pytest.fixture
def key(tmp_path):
    made = PrivateKey.generate("studio@example.org")
    made.write(tmp_path / "k")
    return made


@pytest.fixture
def package(tmp_path):
    return write(tmp_path / "a.nmc", chain(3))


def _answers(path):
    """Whether an agent listens there; the socket has a name a moment before."""
    with socket.socket(socket.AF_UNIX) as line:
        return line.connect_ex(str(path)) == 0


@pytest.mark.skipif(
    not (shutil.which("ssh-agent") and shutil.which("ssh-add")), reason="needs ssh-agent"
)
def test_the_agent_of_openssh(tmp_path, key, package, monkeypatch):
    agent = tmp_path / "agent"
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(agent)], stdout=subprocess.DEVNULL) as run:
        try:
            while not _answers(agent):
                assert run.poll() is None
            monkeypatch.setenv("SSH_AUTH_SOCK", str(agent))
            with pytest.raises(nmc.FormatError, match="has no key SHA256:"):
                sign(package, tmp_path / "k.pub")
            subprocess.run(["ssh-add", "-q", str(tmp_path / "k")], check=True)
            (tmp_path / "k").unlink()  # the agent alone has it now
            made = sign(package, tmp_path / "k.pub")
            assert made.key == key.public.key
            assert made.statement.signer == "studio@example.org"
            with nmc.open(package, require_signature=[key.public.key]) as sequence:
                assert sequence[2]
            assert made == key.signed(made.statement)  # Ed25519 has one signature of a text
        finally:
            run.terminate()


def _text(data):
    return len(data).to_bytes(4, "big") + data


@contextmanager
def agent(path, *answers):
    """Answer the first requests so; one connection for each."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def answer():
            for data in answers:
                line, _ = server.accept()
                with line:
                    line.recv(1 << 16)
                    line.sendall(data)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield str(path)


def _listed(*blobs):
    entries = b"".join(_text(blob) + _text(b"name") for blob in blobs)
    return _text(bytes([12]) + len(blobs).to_bytes(4, "big") + entries)


def _signed(value, kind=b"ssh-ed25519"):
    return _text(bytes([14]) + _text(_text(kind) + _text(value)))


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (_signed(bytes(64)), "signature/wrong"),
        (_signed(bytes(63)), "another way than Ed25519"),
        (_signed(bytes(64), b"ssh-rsa"), "another way than Ed25519"),
        (_text(b"\x05"), "refuses"),
        (_text(b""), "answers 0 bytes"),
        (b"\xff\xff\xff\xff", "answers 4294967295 bytes"),
        (b"\0\0\0\x05\x0e", "does not answer"),
        (b"", "does not answer"),
        (_text(b"\x0e\0\0\0\x09"), "cut off"),
        (_text(b"\x0e" + _text(b"\xff\xff\xff\xff")), "cut off"),
    ],
    ids=range(10),
)
def test_agents_that_do_not_sign(tmp_path, key, package, monkeypatch, answer, what):
    before = package.read_bytes()
    with agent(tmp_path / "agent", _listed(b"\0\0\0\x03rsa", key.public.blob), answer) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        with pytest.raises(nmc.FormatError, match=what):
            sign(package, tmp_path / "k.pub")
    assert package.read_bytes() == before


def test_agents_that_are_not_there(tmp_path, key, package, monkeypatch):
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(nmc.FormatError, match="no ssh-agent is running"):
        AgentKey.find(key.public)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "nowhere"))
    with pytest.raises(nmc.FormatError, match="does not answer: No such file"):
        AgentKey.find(key.public)
    monkeypatch.setenv("SSH_AUTH_SOCK", os.devnull)
    with pytest.raises(nmc.FormatError, match="does not answer"):
        AgentKey.find(key.public)
    assert isinstance(signing_key(tmp_path / "k"), PrivateKey)
