"""``nmc play`` of packages that are encrypted, signed, or lie in a store."""

import json

import numpy as np
import pytest
from command_samples import refused

import nmc

FRAMES = 4

pytest.importorskip("cryptography", reason="the extra trust is not installed")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """An encrypted package with a refinement, whose segments are of several chunks."""
    folder = tmp_path_factory.mktemp("terms")
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(60_000,)).astype("f4")
    quantised = nmc.Quantisation(quality=90, refinements=[2])
    with nmc.Writer(
        folder / "plain.nmc", profile="lossy", quantisation=quantised, key_every=2, timescale=10
    ) as writer:
        for _ in range(FRAMES):
            weights += np.float32(1e-3)
            writer.append({"w": weights.copy()})
    for name in ("right", "wrong"):
        nmc.SecretKey.generate().write(folder / f"{name}.key")
    nmc.encrypt(folder / "plain.nmc", folder / "secret.nmc", folder / "right.key")
    signing = nmc.PrivateKey.generate("studio")
    signing.write(folder / "studio")
    nmc.PrivateKey.generate("other").write(folder / "other")
    nmc.sign(folder / "secret.nmc", signing)
    return folder


@pytest.fixture
def play(run, monkeypatch):
    monkeypatch.delenv("NMC_KEY_FILE", raising=False)

    def play(target, *options):
        return run("play", target, "--headless", "--json", *options)

    return play


def test_an_encrypted_package_is_played_by_its_key(shelf, play, monkeypatch):
    package, key = shelf / "secret.nmc", ("--decrypt-key", shelf / "right.key")
    refused(play(package), "encryption/key-missing")
    refused(play(package, "--decrypt-key", shelf / "wrong.key"), "encryption/key-wrong")
    refused(play(shelf / "plain.nmc", *key), "encryption/not-encrypted")
    monkeypatch.setenv("NMC_KEY_FILE", str(shelf / "right.key"))
    assert play(package).code == 0
    monkeypatch.delenv("NMC_KEY_FILE")
    with nmc.open(package) as sequence:
        lengths = sequence.manifest.frames.segment_length
    bytes_ = []
    for quality in ("lowest", "highest"):
        done = play(package, *key, "--quality", quality)
        report = json.loads(done.out)
        assert (done.code, report["decoded_frames"], report["errors"]) == (0, FRAMES, [])
        bytes_.append(report["bytes"])
    assert bytes_[0] < bytes_[1] == lengths.sum()


def test_a_signature_is_demanded(shelf, play):
    key = ("--decrypt-key", shelf / "right.key")
    assert play(shelf / "secret.nmc", *key, "--key", shelf / "studio.pub").code == 0
    refused(play(shelf / "secret.nmc", *key, "--key", shelf / "other.pub"), "signature/missing")
    refused(play(shelf / "plain.nmc", "--key", shelf / "studio.pub"), "signature/missing")


def test_terms_hold_for_the_packages_of_a_document(shelf, play, run):
    path = shelf / "x.json"
    assert run("present", shelf / "secret.nmc", "--group", 0, "-o", path, "--force").code == 0
    options = ("--key", shelf / "studio.pub", "--decrypt-key", shelf / "right.key")
    assert json.loads(play(path, *options).out)["decoded_frames"] == FRAMES
    done = play(path, "--key", shelf / "studio.pub")
    report = json.loads(done.out)
    assert (done.code, report["decoded_frames"]) == (1, 0)
    assert all("encryption/key-missing" in found["reason"] for found in report["refused"])


def test_what_lies_in_a_store(shelf, play, run):
    fsspec = pytest.importorskip("fsspec", reason="the extra remote is not installed")
    path = shelf / "plain.json"
    assert run("present", shelf / "plain.nmc", "--group", 0, "-o", path, "--force").code == 0
    store = fsspec.filesystem("memory")
    for name in ("plain.nmc", "plain.json"):
        store.pipe_file(f"/played/{name}", (shelf / name).read_bytes())
        done = play(f"memory://played/{name}")
        assert (done.code, json.loads(done.out)["decoded_frames"]) == (0, FRAMES), done
        assert play((shelf / name).as_uri()).code == 0
    refused(play("memory://played/nothing.nmc"), "host/not-found")
    refused(play("memory://played/nothing.json"), "host/not-found")
