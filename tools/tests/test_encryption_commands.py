"""``nmc encrypt``, ``decrypt``, ``keygen --symmetric``, and commands that take a key."""

from __future__ import annotations

import json

import numpy as np
import pytest
from command_samples import refused, state
from safetensors.numpy import save_file

import nmc

pytest.importorskip("cryptography", reason="the extra trust is not installed")


@pytest.fixture
def folder(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NMC_KEY_FILE", raising=False)
    with nmc.Writer("a.nmc", key_every=3) as writer:
        for t in range(4):
            writer.append(state(t))
    for name in ("k", "other"):
        assert run("keygen", "--symmetric", "-o", name).code == 0
    assert run("encrypt", "a.nmc", "-o", "e.nmc", "--key", "k").code == 0
    return tmp_path


def test_a_round_trip(folder, run):
    assert (folder / "k").stat().st_mode & 0o777 == 0o600
    assert run("decrypt", "e.nmc", "-o", "b.nmc", "--key", "k").code == 0
    assert (folder / "b.nmc").read_bytes() == (folder / "a.nmc").read_bytes()
    again = run("encrypt", "e.nmc", "-o", "f.nmc", "--key", "other", "--decrypt-key", "k")
    assert again.code == 0
    assert nmc.SecretKey.read("other").digest.hex() in again.out
    assert run("check", "f.nmc", "--decrypt-key", "other").code == 0
    assert "aes-256-gcm, by the key of digest" in run("inspect", "f.nmc").out
    document = json.loads(run("inspect", "f.nmc", "--json").out)
    assert document["encryption"]["key_digest"] == nmc.SecretKey.read("other").digest.hex()


def test_a_check_without_the_key_is_a_doubt(folder, run):
    checked = run("check", "e.nmc")
    assert checked.code == 1
    assert "in doubt" in checked.out
    assert "host/not-decrypted" in checked.err
    assert run("check", "e.nmc", "--no-decode").code == 0
    assert run("check", "e.nmc", "--decrypt-key", "k").out.startswith("e.nmc: accepted, 4 of 4")
    assert json.loads(run("check", "e.nmc", "--json").out)["findings"][0]["severity"] == "warning"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("unpack", "e.nmc", "-o", "out"), "encryption/key-missing"),
        (("unpack", "e.nmc", "-o", "out", "--decrypt-key", "other"), "encryption/key-wrong"),
        (("unpack", "a.nmc", "-o", "out", "--decrypt-key", "k"), "encryption/not-encrypted"),
        (("unpack", "e.nmc", "-o", "out", "--decrypt-key", "nothing"), "host/not-found"),
        (("unpack", "e.nmc", "-o", "out", "--decrypt-key", "a.nmc"), "input/unreadable"),
        (("decrypt", "a.nmc", "-o", "x.nmc", "--key", "k"), "encryption/not-encrypted"),
        (("decrypt", "e.nmc", "-o", "x.nmc"), "encryption/key-missing"),
        (("encrypt", "e.nmc", "-o", "x.nmc", "--key", "k"), "encryption/key-missing"),
        (("encrypt", "a.nmc", "-o", "e.nmc", "--key", "k"), "host/exists"),
        (("extract", "e.nmc", "-o", "x.nmc", "--frames", "1-2"), "encryption/key-missing"),
        (("keygen", "--symmetric", "-o", "k"), "host/exists"),
    ],
)
def test_what_is_refused(folder, run, words, code):
    refused(run(*words), code)
    assert not list(folder.glob("x.nmc*"))
    assert not list(folder.glob("out/*"))


def test_one_key_for_all_commands(folder, run, monkeypatch):
    monkeypatch.setenv("NMC_KEY_FILE", "k")
    assert run("diff", "e.nmc", "a.nmc").code == 0
    assert run("check", "e.nmc").code == 0
    assert run("unpack", "e.nmc", "-o", "out").code == 0
    assert run("extract", "e.nmc", "-o", "x.nmc", "--frames", "1-2").code == 0
    with nmc.open("x.nmc") as sequence:
        assert sequence.manifest.root.is_encrypted
    assert run("pack", "e.nmc", "-o", "lossy.nmc", "--quality", "50").code == 0
    with nmc.open("lossy.nmc") as sequence:
        assert sequence.manifest.root.is_encrypted


@pytest.mark.parametrize("lossy", [(), ("--quality", "40")])
def test_packing_with_a_key(folder, run, lossy):
    run_folder = folder / "run"
    run_folder.mkdir()
    for t in range(3):
        weight = np.linspace(-1, 1, 600, dtype="f4").reshape(20, 30) + np.float32(t / 1000)
        save_file({"w": weight}, run_folder / f"f{t}.safetensors")
    packed = run("pack", "run", "-o", "p.nmc", "--encrypt-key", "k", *lossy)
    assert packed.code == 0
    assert run("check", "p.nmc", "--decrypt-key", "k").code == 0
    refused(run("pack", "run", "-o", "q.nmc", "--encrypt-key", "nothing"), "host/not-found")


def test_signed_and_encrypted(folder, run):
    assert run("keygen", "-o", "studio", "--no-passphrase").code == 0
    assert run("sign", "e.nmc", "--key", "studio").code == 0
    assert run("verify", "e.nmc", "--key", "studio.pub").code == 0
    assert run("check", "e.nmc", "--signed-by", "studio.pub", "--decrypt-key", "k").code == 0
    assert run("verify", "e.nmc", "--key", "k").code == 1


def test_recovering_without_the_key_says_so(folder, run):
    for name, words, code in (("r", (), 1), ("s", ("--decrypt-key", "k"), 0)):
        stopped = nmc.Writer(name, encrypt_key="k")
        stopped.append(state(0))
        stopped._draft.close()
        recovered = run("recover", name, *words)
        assert recovered.code == code
        assert "1 of 1 frames recovered" in recovered.out
        assert ("host/not-decrypted" in recovered.err) == bool(code)


def test_symmetric_keys_have_no_public_side(folder, run):
    assert run("keygen", "--symmetric", "--comment", "x", "-o", "z").code == 2
    assert not (folder / "k.pub").exists()
