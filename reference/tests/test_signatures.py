"""Signatures (clause 13): every flipped bit of a signed package is named, and keys are demanded."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from nmc_samples import refused

import nmc
from nmc.reading.check import verified
from nmc.reading.keys import keys_in, read_public_keys
from nmc.writing.signing import unsign
from nmc_format.package.form import open_package

pytest.importorskip("cryptography", reason="the extra trust is not installed")


def made(path: Path, *, directory: bool = False, frames: int = 2, seed: float = 0) -> Path:
    with nmc.Writer(path, directory=directory, overwrite=True, key_every=2) as writer:
        for t in range(frames):
            writer.append({"w": np.arange(6, dtype="f4") + np.float32(t + seed)})
    return path


@pytest.fixture(scope="module")
def key():
    return nmc.PrivateKey.generate("studio@example.org")


def codes(path: Path, *keys: object) -> set[str]:
    return {f.code for f in verified(path, keys)[0].findings if f.severity == "error"}


def files_of(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


@pytest.mark.parametrize("directory", [False, True])
def test_signing_changes_nothing_else(tmp_path, key, directory) -> None:
    path = made(tmp_path / "a.nmc", directory=directory)
    with open_package(path) as package, nmc.open(path) as sequence:
        manifest, digest = package.manifest(), sequence.manifest.root.manifest_digest
    nmc.sign(path, key)
    other = nmc.PrivateKey.generate("archive")
    nmc.sign(path, other, signer="Archive 3")
    with open_package(path) as package:
        assert package.manifest() == manifest
    with nmc.open(path, require_signature=[key.public, other.public]) as sequence:
        assert sequence.manifest.root.manifest_digest == digest
        assert {s.statement.signer for s in sequence.signatures} == {key.public.name, "Archive 3"}
        assert sequence[1]["w"][0] == 1
    assert nmc.check(path).findings == ()
    assert unsign(path) == 2
    assert nmc.check(path).findings == ()
    assert codes(path, key.public) == {"signature/missing"}


@pytest.mark.sweep(4)
@pytest.mark.parametrize("stride", [13, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("directory", [False, True])
def test_every_flipped_bit_is_named(tmp_path, key, directory, stride) -> None:
    """Of one byte in so many."""
    path = made(tmp_path / "a.nmc", directory=directory, frames=1)
    nmc.sign(path, key)
    assert codes(path, key.public) == set()
    whole = {file: file.read_bytes() for file in files_of(path)}
    for file, data in whole.items():
        near = file.suffix == ".sig" or file.parent.name == "signatures"
        for at in range(0, len(data), stride):
            for bit in range(8) if near or len(data) < 1200 else (at % 8,):
                flipped = bytearray(data)
                flipped[at] ^= 1 << bit
                file.write_bytes(flipped)
                assert codes(path, key.public), f"{file.name} byte {at} bit {bit}"
        file.write_bytes(data)
    assert codes(path, key.public) == set()


@pytest.mark.slow(minutes=0.1)
@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.long)])
def test_every_bit_of_every_byte_is_named(tmp_path, key, stride) -> None:
    path = made(tmp_path / "a.nmc")
    nmc.sign(path, key)
    data = path.read_bytes()
    for at in range(0, 8 * len(data), stride):
        flipped = bytearray(data)
        flipped[at // 8] ^= 1 << at % 8
        path.write_bytes(flipped)
        assert codes(path, key.public), f"byte {at // 8} bit {at % 8}"


def test_another_order_or_other_metadata_fails(tmp_path, key) -> None:
    path = made(tmp_path / "a.nmc", directory=True, frames=4)
    nmc.sign(path, key)
    segments = path / "segments"
    one, two = segments / "00000000.safetensors", segments / "00000002.safetensors"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert codes(path, key.public)
    one.write_bytes(first)
    two.write_bytes(second)
    assert codes(path, key.public) == set()
    other = made(tmp_path / "b.nmc", directory=True, frames=4, seed=1)
    shutil.copytree(path / "signatures", other / "signatures")
    assert codes(other, key.public) == {"signature/manifest", "signature/missing"}
    with pytest.raises(nmc.FormatError, match="signature/manifest"):
        nmc.open(other, require_signature=[key.public])
    with nmc.open(other) as sequence:  # nobody asked
        assert len(sequence) == 4


def test_a_manifest_is_not_read_before_its_signature(tmp_path, key, monkeypatch) -> None:
    path = made(tmp_path / "a.nmc", directory=True)
    nmc.sign(path, key)
    data = bytearray((path / "manifest.h5").read_bytes())
    data[len(data) // 2] ^= 1
    (path / "manifest.h5").write_bytes(data)
    monkeypatch.setattr("nmc.reading.manifest.parse_manifest", lambda *_: pytest.fail("parsed"))
    refused("signature/manifest", lambda: nmc.open(path, require_signature=[key.public]))


def test_what_changes_a_package_leaves_signatures_out(tmp_path, key) -> None:
    path = made(tmp_path / "a.nmc", directory=True)
    nmc.sign(path, key)
    made(path, directory=True, seed=1)
    assert not (path / "signatures").exists()
    nmc.sign(path, key)
    from nmc.writing.amend import write_quality

    quality = nmc.Quality(["front"], {"psnr": np.full((2, 1), 30.0)})
    write_quality(path, quality)
    assert not (path / "signatures").exists()
    assert nmc.check(path).findings == ()
    nmc.sign(path, key)
    nmc.extract(path, [0], tmp_path / "b.nmc")
    assert codes(tmp_path / "b.nmc", key.public) == {"signature/missing"}


def test_signing_again_replaces_and_stale_ones_stop_it(tmp_path, key) -> None:
    path = made(tmp_path / "a.nmc")
    nmc.sign(path, key, signer="first")
    made_again = nmc.sign(path, key, signer="second")
    assert made_again.statement.signer == "second"
    assert len(verified(path, [key.public])[1]) == 1
    folder = made(tmp_path / "b.nmc", directory=True)
    nmc.sign(folder, key)
    file = next((folder / "signatures").iterdir())
    file.write_bytes(file.read_bytes().replace(b"studio", b"Studio"))
    refused("signature/wrong", lambda: nmc.sign(folder, nmc.PrivateKey.generate("x")))
    nmc.sign(folder, nmc.PrivateKey.generate("x"), fresh=True)
    assert len(list((folder / "signatures").iterdir())) == 1
    with pytest.raises(ValueError, match="control character"):
        nmc.sign(folder, key, signer="a\nb")
    with pytest.raises(ValueError, match="256 bytes"):
        nmc.sign(folder, key, signer="é" * 129)


def test_unfinished_and_damaged_packages_are_not_signed(tmp_path, key) -> None:
    path = tmp_path / "a.nmc"
    writer = nmc.Writer(path, directory=True)
    writer.append({"w": np.zeros(3, "f4")})
    refused("package/unfinished", lambda: nmc.sign(path, key))
    writer.close()
    file = path / "segments" / "00000000.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    refused("segment/sha256", lambda: nmc.sign(path, key))
    assert not (path / "signatures").exists()


def test_keys_of_openssh(tmp_path, key) -> None:
    line = key.public.line()
    assert keys_in(line, "x") == [key.public]
    for text in (
        f'restrict,command="echo \\"a b\\"" {line}',
        f"alice@example.org,bob@example.org {line}",
        f'alice@example.org namespaces="git,nmc" {line}',
        f"# comment\n\nssh-rsa AAAAB3NzaC1yc2E= old\n{line}",
    ):
        assert keys_in(text, "x")[0].key == key.public.key
    pem = (
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
        "-----END PUBLIC KEY-----\n"
    )
    assert keys_in(pem, "x")[0].key.hex().startswith("19bf44096984cdfe")
    for text, words in (
        ("", "no key of Ed25519"),
        ("ssh-rsa AAAAB3NzaC1yc2E= old", "it has ssh-rsa"),
        ("hello", "line 1 is not a public key"),
        ("ssh-ed25519 AAAA!", "not base64"),
        ("ssh-ed25519", "ends before the key"),
        (line[:60], "damaged|not base64"),
        (line.replace("AAAAC3", "AAAAC4"), "damaged"),
        (f"cert-authority {line}", "cert-authority"),
        (f'alice valid-before="20300101" {line}', "valid-before"),
        (f'alice namespaces="git,file" {line}', "not nmc"),
        (f'alice command="x {line}', "cannot be read"),
        (key.to_openssh().decode(), "private key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "not an Ed25519 key"),
    ):
        with pytest.raises(nmc.FormatError, match=words):
            keys_in(text, "x")
    (tmp_path / "k.pub").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(nmc.FormatError, match="not a text file"):
        read_public_keys(tmp_path / "k.pub")
    refused("host/not-found", lambda: read_public_keys(tmp_path / "none.pub"))


def test_one_key_of_a_file_is_enough_and_each_item_is_needed(tmp_path, key) -> None:
    path = sign_one = made(tmp_path / "a.nmc")
    nmc.sign(sign_one, key)
    other = nmc.PrivateKey.generate("other")
    both = tmp_path / "allowed"
    both.write_text(key.public.line() + other.public.line())
    assert codes(path, both) == set()
    assert codes(path, key.public.line(), key.public.key, key.public) == set()
    assert codes(path, both, other.public) == {"signature/missing"}
    with pytest.raises(TypeError, match="sequence of keys"):
        nmc.open(path, require_signature=str(both))
    with pytest.raises(ValueError, match="32 bytes"):
        nmc.open(path, require_signature=[b"short"])


def test_private_keys_on_the_disk(tmp_path, key) -> None:
    public = key.write(tmp_path / "plain")
    locked = nmc.PrivateKey.generate("locked")
    locked.write(tmp_path / "locked", passphrase="one two")
    assert (tmp_path / "plain").stat().st_mode & 0o777 == 0o600
    assert read_public_keys(public) == [key.public]
    again = nmc.PrivateKey.read(tmp_path / "plain")
    assert again.public == key.public
    assert "PrivateKey(SHA256:" in repr(again)
    back = nmc.PrivateKey.read(tmp_path / "locked", lambda: "one two")
    assert back.public == locked.public
    refused("host/exists", lambda: key.write(tmp_path / "plain"))
    for given, words in ((None, "has a passphrase"), ("wrong", "not that of the key")):
        with pytest.raises(nmc.FormatError, match=words):
            nmc.PrivateKey.read(tmp_path / "locked", lambda given=given: given)
    for content, words in (
        (b"", "no private key"),
        (public.read_bytes(), "a public key"),
        ((tmp_path / "plain").read_bytes()[:150], "damaged"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "damaged"),
        (b"\x00" * 100_000, "no private key"),
    ):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(nmc.FormatError, match=words):
            nmc.PrivateKey.read(tmp_path / "bad")


def test_another_kind_of_key_is_refused(tmp_path) -> None:
    from cryptography.hazmat.primitives import serialization as forms
    from cryptography.hazmat.primitives.asymmetric import ec

    other = ec.generate_private_key(ec.SECP256R1())
    text = other.private_bytes(
        forms.Encoding.PEM, forms.PrivateFormat.OpenSSH, forms.NoEncryption()
    )
    (tmp_path / "ec").write_bytes(text)
    with pytest.raises(nmc.FormatError, match="another kind"):
        nmc.PrivateKey.read(tmp_path / "ec")


def test_without_the_library_doubt_is_said_aloud(tmp_path, key, monkeypatch) -> None:
    path = made(tmp_path / "a.nmc")
    nmc.sign(path, key)
    for name in [n for n in sys.modules if n.startswith("cryptography")]:
        monkeypatch.setitem(sys.modules, name, None)
    report = nmc.check(path)
    assert [f.code for f in report.findings] == ["host/not-verified"]
    assert "neural-model-chain[trust]" in report.findings[0].hint
    assert codes(path, key.public) == {"signature/missing"}
    refused("input/unsupported", lambda: nmc.open(path, require_signature=[key.public]))
    refused("input/unsupported", nmc.PrivateKey.generate)
    with nmc.open(path) as sequence:
        assert len(sequence) == 2


def test_on_a_server_signatures_of_demanded_keys_are_asked_for(tmp_path, key) -> None:
    from nmc.reading.keys import demands_of
    from nmc.reading.signatures import require
    from nmc.remote.remote_folder import RemoteFolder
    from nmc.remote.remote_object import NoObject

    path = made(tmp_path / "a.nmc", directory=True)
    nmc.sign(path, key)
    asked = []

    class Member:
        def __init__(self, name):
            self.name = name

        def whole(self, limit):
            asked.append(self.name)
            file = path / self.name
            if not file.is_file():
                raise NoObject(self.name)
            yield from (
                file.read_bytes()[at : at + 100] for at in range(0, file.stat().st_size, 100)
            )

        def close(self):
            pass

    with RemoteFolder("https://host/a.nmc", Member) as package:
        other = nmc.PrivateKey.generate("other")
        (held,) = require(package, package.manifest(), demands_of([key.public]))
        assert held.key == key.public.key
        assert asked[1:] == [f"signatures/{key.public.key.hex()}.sig"]
        demands = demands_of([other.public])
        refused("signature/missing", lambda: require(package, package.manifest(), demands))
        file = path / "signatures" / f"{key.public.key.hex()}.sig"
        file.write_bytes(file.read_bytes() * 10_000)
        demands = demands_of([key.public])
        refused("signature/form", lambda: require(package, package.manifest(), demands))


def test_fingerprints_are_those_of_openssh() -> None:
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBH8hbi85c8GJ9ZSMGO5GOBmtrENGou5OpZ045jvr5sn"
    (known,) = keys_in(line, "x")
    assert known.fingerprint == "SHA256:lVbTmCxBpGZ3kZmZii9Kmv7inziiKKDmWUFWO1Kqj64"
    assert re.fullmatch(r"[0-9a-f]{64}", known.key.hex())
    assert nmc.PublicKey(known.key).line().rstrip() == line
