"""``nmc keygen``, ``sign`` and ``verify``, and what they refuse."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess

import pytest
from command_samples import refused, state

import nmc

pytest.importorskip("cryptography", reason="the extra trust is not installed")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NMC_PASSPHRASE", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    for name, directory in (("a.nmc", False), ("d.nmc", True)):
        with nmc.Writer(tmp_path / name, directory=directory) as writer:
            for t in range(3):
                writer.append(state(t))
    return tmp_path


@pytest.fixture
def keyed(folder, run):
    assert run("keygen", "-o", "k", "--no-passphrase", "--comment", "studio@x").code == 0
    assert run("keygen", "-o", "other", "--no-passphrase").code == 0
    return folder


def test_inspect_says_who_signed(keyed, run) -> None:
    assert "signature" not in run("inspect", "d.nmc").out
    assert run("sign", "d.nmc", "--key", "k").code == 0
    assert run("sign", "d.nmc", "--key", "other", "--signer", "Archive").code == 0
    shown = run("inspect", "d.nmc")
    assert shown.code == 0
    assert shown.out.count("holds: SHA256:") == 2
    assert "studio@x" in shown.out
    for command in ("inspect", "check"):
        facts = json.loads(run(command, "d.nmc", "--json").out)["signatures"]
        assert [fact["holds"] for fact in facts] == [True, True]
        assert {fact["signer"] for fact in facts} == {"studio@x", "Archive"}
    (wrong, _) = sorted((keyed / "d.nmc" / "signatures").iterdir())
    wrong.write_text(wrong.read_text().replace("signer: ", "signer: not "))
    shown = run("inspect", "d.nmc")
    assert shown.code == 0
    assert shown.out.count("holds: SHA256:") == 1
    assert "does NOT hold: signature/wrong" in shown.out
    for command in ("inspect", "check"):
        facts = json.loads(run(command, "d.nmc", "--json").out)["signatures"]
        assert {(fact["holds"], fact["code"]) for fact in facts} == {
            (True, None),
            (False, "signature/wrong"),
        }
        (failed,) = [fact for fact in facts if not fact["holds"]]
        assert failed["key"] == wrong.stem


@pytest.mark.parametrize("package", ["a.nmc", "d.nmc"])
def test_a_key_signs_and_its_public_side_verifies(keyed, run, package) -> None:
    assert (keyed / "k").stat().st_mode & 0o777 == 0o600
    before = run("inspect", package, "--json").out
    signed = run("sign", package, "--key", "k")
    assert signed.code == 0
    assert "studio@x" in signed.out
    assert not [p for p in keyed.iterdir() if p.name.endswith(".new")]
    verified = run("verify", package, "--key", "k.pub")
    assert verified.code == 0
    assert "verified, 1 signature holds" in verified.out
    assert (
        json.loads(run("inspect", package, "--json").out)["frames"] == json.loads(before)["frames"]
    )
    checked = run("check", package, "--signed-by", "k.pub")
    assert checked.code == 0
    assert "signed by SHA256:" in checked.out
    assert "who says: studio@x" in checked.out
    assert run("check", package, "--signed-by", "other.pub").code == 1
    failed = run("verify", package, "--key", "k.pub", "--key", "other.pub")
    assert failed.code == 1
    assert "signature/missing" in failed.err
    assert "NOT verified" in failed.out
    assert run("sign", package, "--key", "other", "--signer", "Archive").code == 0
    document = json.loads(run("verify", package, "-k", "k.pub", "-k", "other.pub", "--json").out)
    assert document["verified"]
    assert {s["signer"] for s in document["signatures"]} == {"studio@x", "Archive"}
    assert all(s["demanded"] for s in document["signatures"])
    assert run("sign", package, "--remove").out.endswith("2 signatures taken out\n")
    assert run("verify", package, "--key", "k.pub").code == 1


def test_doubt_is_no_success(keyed, run) -> None:
    unsigned = run("verify", "a.nmc")
    assert unsigned.code == 1
    assert run("sign", "a.nmc", "--key", "k").code == 0
    nobody = run("verify", "a.nmc")
    assert nobody.code == 1
    assert "give --key" in nobody.err
    assert not json.loads(run("verify", "a.nmc", "--json").out)["verified"]


def test_what_was_touched_fails(keyed, run) -> None:
    assert run("sign", "d.nmc", "--key", "k").code == 0
    segment = keyed / "d.nmc" / "segments" / "00000001.safetensors"
    segment.write_bytes(segment.read_bytes()[:-1] + b"\x99")
    touched = run("verify", "d.nmc", "--key", "k.pub")
    assert touched.code == 1
    assert "segment/sha256" in touched.err
    shutil.copytree(keyed / "d.nmc" / "signatures", keyed / "signatures")
    with nmc.Writer(keyed / "other.nmc", directory=True) as writer:
        writer.append(state(4))
    shutil.copytree(keyed / "signatures", keyed / "other.nmc" / "signatures")
    assert "signature/manifest" in run("verify", "other.nmc", "--key", "k.pub").err


def test_garbage_and_wrong_files_are_refused(keyed, run) -> None:
    (keyed / "garbage").write_bytes(bytes(range(256)) * 9)
    for name in ("garbage", "k.pub", "a.nmc"):
        refused(run("sign", "a.nmc", "--key", name), "input/unreadable")
    for name in ("garbage", "k", "a.nmc"):
        refused(run("verify", "a.nmc", "--key", name), "input/unreadable")
    refused(run("sign", "a.nmc", "--key", "none"), "host/not-found")
    refused(run("verify", "a.nmc", "--key", "none.pub"), "host/not-found")
    refused(run("sign", "none.nmc", "--key", "k"), "host/not-found")
    refused(run("sign", "k.pub", "--key", "k"), "package/not-a-package")
    refused(run("keygen", "-o", "k", "--no-passphrase"), "host/exists")
    assert run("sign", "a.nmc").code == 2
    assert run("sign", "a.nmc", "--key", "k", "--signer", "a\nb").code == 2
    assert run("sign", "a.nmc", "--key", "k", "--remove").code == 2
    assert run("keygen", "-o", "asked").code == 2
    assert not (keyed / "asked").exists()


def test_passphrases_come_from_a_file_or_the_environment(keyed, run, monkeypatch) -> None:
    (keyed / "secret").write_text("one two\n")
    assert run("keygen", "-o", "locked", "--passphrase-file", "secret").code == 0
    assert "not encrypted" not in run("keygen", "-o", "l2", "--passphrase-file", "secret").out
    assert "has a passphrase" in refused(
        run("sign", "a.nmc", "--key", "locked"), "input/unreadable"
    )
    monkeypatch.setenv("NMC_PASSPHRASE", "wrong")
    assert "not that of" in refused(run("sign", "a.nmc", "--key", "locked"), "input/unreadable")
    assert run("sign", "a.nmc", "--key", "locked", "--passphrase-file", "secret").code == 0
    monkeypatch.setenv("NMC_PASSPHRASE", "one two")
    assert run("sign", "a.nmc", "--key", "locked").code == 0
    assert run("verify", "a.nmc", "--key", "locked.pub").code == 0


def test_an_open_private_key_is_warned_of(keyed, run) -> None:
    (keyed / "k").chmod(0o644)
    done = run("sign", "a.nmc", "--key", "k")
    assert done.code == 0
    assert "chmod 600" in done.err


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
def test_keys_of_openssh_and_ours_are_the_same(keyed, run) -> None:
    for name, passphrase in (("plain", ""), ("locked", "one two")):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "me@x", "-f", name]
        subprocess.run(words, check=True, cwd=keyed)
    (keyed / "secret").write_text("one two")
    assert run("sign", "a.nmc", "--key", "plain").code == 0
    assert run("sign", "a.nmc", "--key", "locked", "--passphrase-file", "secret").code == 0
    (keyed / "allowed").write_text(f"me@x {(keyed / 'plain.pub').read_text()}")
    verified = run("verify", "a.nmc", "--key", "allowed", "--key", "locked.pub")
    assert verified.code == 0, verified
    assert "me@x" in verified.out
    for name, words in (("plain", []), ("k", [])):
        made = subprocess.run(
            ["ssh-keygen", "-y", "-f", name, *words], check=True, cwd=keyed, capture_output=True
        )
        assert made.stdout.split()[1] == (keyed / f"{name}.pub").read_bytes().split()[1]
    made = subprocess.run(
        ["ssh-keygen", "-l", "-f", "k.pub"], check=True, cwd=keyed, capture_output=True, text=True
    )
    assert made.stdout.split()[1] in run("verify", "a.nmc", "--key", "k.pub").err
    rsa = ["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "rsa"]
    subprocess.run(rsa, check=True, cwd=keyed)
    assert "Ed25519" in refused(run("sign", "a.nmc", "--key", "rsa"), "input/unreadable")
    assert "ssh-rsa" in refused(run("verify", "a.nmc", "--key", "rsa.pub"), "input/unreadable")


def test_nobody_has_a_name(folder, run, monkeypatch) -> None:
    """A container runs as a number that no list of users has."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nobody)
    assert run("keygen", "-o", "k", "--no-passphrase").code == 0
    assert nmc.PrivateKey.read(folder / "k").public.name.partition("@")[0].isdecimal()


def test_what_one_of_the_same_number_left_behind(folder, run) -> None:
    """In containers, the number of a process that was killed comes again."""
    stale = folder / f".k.{os.getpid()}.new"
    stale.write_text("half")
    assert run("keygen", "-o", "k", "--no-passphrase").code == 0
    (folder / "out").mkdir()
    (folder / "out" / f".frame_00000000.safetensors.{os.getpid()}.partial").write_text("half")
    assert run("unpack", "a.nmc", "-o", "out").code == 0
    assert not [p for p in folder.rglob("*") if p.suffix in (".new", ".partial")]


@pytest.mark.parametrize("package", ["a.nmc", "d.nmc"])
def test_a_folder_that_takes_nothing_is_named(keyed, run, monkeypatch, package) -> None:
    """The place is the package, not the name of a file beside it that the user never saw."""
    real = os.open

    def denied(path, flags, *rest, **more):
        if flags & os.O_CREAT:
            raise PermissionError(1, "Operation not permitted", path)
        return real(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", denied)
    done = run("sign", keyed / package, "--key", "k")
    monkeypatch.undo()
    assert f"host/denied at {keyed / package}: " in done.err
