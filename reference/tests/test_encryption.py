"""Encrypted packages (clause 14): the same states with the key, and nothing without it."""

from __future__ import annotations

import pickle
import shutil
import threading

import numpy as np
import pytest
from nmc_samples import chain, edit, members, refused, same_state, seal, segment_path, write
from web_server import QUICK, serving

import nmc
from nmc.writing import journal_lines
from nmc.writing.unfinished import SUFFIX
from nmc_format import encryption

pytest.importorskip("cryptography", reason="the extra trust is not installed")

KEY, OTHER = bytes(range(32)), bytes(32)
FRAMES = 6


@pytest.fixture(scope="module")
def states():
    return chain(FRAMES)


@pytest.fixture(scope="module")
def made(tmp_path_factory, states):
    root = tmp_path_factory.mktemp("encrypted")
    large = [{**s, "large": np.random.default_rng(9).normal(size=40_000)} for s in states]
    write(root / "a.nmc", states, key_every=3, encrypt_key=KEY)
    write(root / "d.nmc", states, key_every=3, encrypt_key=KEY, directory=True)
    write(root / "plain.nmc", states, key_every=3)
    write(root / "large.nmc", large, key_every=3, encrypt_key=KEY, entropy="none")
    return root


@pytest.fixture
def folder(made, tmp_path):
    """A copy of a package in the directory form, to damage."""
    return shutil.copytree(made / "d.nmc", tmp_path / "d.nmc")


@pytest.mark.parametrize("name", ["a.nmc", "d.nmc", "large.nmc"])
def test_every_state_comes_back_with_the_key(made, states, name):
    with nmc.open(made / name, key=KEY) as sequence:
        for t in (5, 0, 4, 1, 3, 2):
            found = dict(sequence[t])
            found.pop("large", None)
            assert same_state(found, states[t])
        assert sequence.tensor(4, "body.weight").tobytes() == states[4]["body.weight"].tobytes()
        assert sequence.names(2) == [*states[2], *(["large"] if name == "large.nmc" else [])]
        with pickle.loads(pickle.dumps(sequence)) as copy:
            assert copy[1].keys() == sequence[1].keys()
    report = nmc.check(made / name, key=KEY)
    assert report.accepted
    assert (report.decoded, report.findings) == (FRAMES, ())


def test_parts_of_a_segment_are_decrypted_alone(made, states):
    """Of 320 kB a frame, the tensor that is asked for takes the chunks that have it."""
    read = []

    with nmc.open(made / "large.nmc", key=KEY) as sequence:
        part = sequence.stored.part
        sequence.stored.part = lambda i, limit, start, size: (
            read.append(size) or part(i, limit, start, size)
        )
        assert sequence.tensor(3, "steps").tobytes() == states[3]["steps"].tobytes()
        length = int(sequence.manifest.frames.segment_length[3])
    assert length > 16 * encryption.CHUNK_BYTES
    assert max(read) < length // 2


def test_without_the_key_the_manifest_is_all(made):
    with nmc.open(made / "a.nmc") as sequence:
        assert len(sequence) == FRAMES
        assert sequence.manifest.root.format_version == "1.1"
        assert sequence.manifest.root.features == ("aes-256-gcm",)
        finding = refused("encryption/key-missing", lambda: sequence[0])
        assert encryption.key_digest(KEY).hex() in finding.hint
        refused("encryption/key-missing", lambda: sequence.names(0))
        refused("encryption/key-missing", lambda: sequence.coded(0))
    for name in ("a.nmc", "d.nmc"):
        report = nmc.check(made / name)
        assert report.accepted
        assert (report.frames, report.decoded) == (FRAMES, 0)
        assert [f.code for f in report.findings] == ["host/not-decrypted"]
        assert nmc.check(made / name, decode=False).findings == ()


def test_keys_that_do_not_fit(made):
    refused("encryption/key-wrong", lambda: nmc.open(made / "a.nmc", key=OTHER))
    refused("encryption/not-encrypted", lambda: nmc.open(made / "plain.nmc", key=KEY))
    assert [f.code for f in nmc.check(made / "a.nmc", key=OTHER).findings] == [
        "encryption/key-wrong"
    ]
    assert [f.code for f in nmc.check(made / "plain.nmc", key=KEY).findings] == [
        "encryption/not-encrypted"
    ]
    for key in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError, match="32 bytes"):
            nmc.open(made / "a.nmc", key=key)


def test_a_key_of_the_environment(made, tmp_path, monkeypatch):
    nmc.SecretKey(KEY).write(tmp_path / "k")
    monkeypatch.setenv("NMC_KEY_FILE", str(tmp_path / "k"))
    with nmc.open(made / "a.nmc") as sequence, nmc.open(made / "plain.nmc") as plain:
        assert same_state(sequence[2], plain[2])
    assert nmc.check(made / "a.nmc").decoded == FRAMES
    monkeypatch.setenv("NMC_KEY_FILE", str(tmp_path / "nothing"))
    refused("host/not-found", lambda: nmc.open(made / "a.nmc"))
    with nmc.open(made / "plain.nmc") as plain:
        assert len(plain) == FRAMES


@pytest.mark.parametrize("t", [0, 2])
def test_every_flipped_bit_of_a_segment_is_found(folder, t):
    path = segment_path(folder, t)
    data = path.read_bytes()
    for at in [0, 31, 32, 33, len(data) // 2, len(data) - 17, len(data) - 16, len(data) - 1]:
        for bit in (1, 128):
            wrong = bytearray(data)
            wrong[at] ^= bit
            path.write_bytes(wrong)
            with nmc.open(folder, key=KEY) as sequence:
                refused("encryption/tag", lambda: sequence[t])
            seal(folder)  # whoever changed it says that it is right so
            assert [f.code for f in nmc.check(folder, key=KEY).findings] == ["encryption/tag"]
    path.write_bytes(data)


def test_segments_elsewhere_and_of_others(folder, made, tmp_path, states):
    """A segment fits its index and its parent alone, and no other package makes one that does."""
    first, second = segment_path(folder, 1), segment_path(folder, 2)
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    seal(folder)
    assert {f.code for f in nmc.check(folder, key=KEY).findings} == {"encryption/tag"}
    first.write_bytes(one)
    second.write_bytes(one)  # replayed
    seal(folder)
    report = nmc.check(folder, key=KEY)
    assert [f.code for f in report.findings] == ["encryption/tag", "encryption/salt"]
    assert [f.code for f in nmc.check(folder).findings] == ["host/not-decrypted", "encryption/salt"]


def test_tags_that_are_cut(folder):
    path = segment_path(folder, 4)
    data = path.read_bytes()
    for size, code in (
        (len(data) - 1, "encryption/tag"),
        (48, "encryption/length"),
        (3, "encryption/length"),
    ):
        path.write_bytes(data[:size])
        seal(folder)
        assert [f.code for f in nmc.check(folder, key=KEY).findings] == [code]
    path.write_bytes(b"")
    seal(folder)
    refused("encryption/length", lambda: nmc.open(folder))


def test_what_the_manifest_says_of_the_key(folder):
    digest = "/encryption@key_digest"
    edit(folder, digest, lambda _: np.frombuffer(encryption.key_digest(OTHER), "u1"))
    refused("encryption/key-wrong", lambda: nmc.open(folder, key=KEY))
    with nmc.open(folder, key=OTHER) as sequence:
        refused("encryption/tag", lambda: sequence[0])
    edit(folder, digest, lambda array: array[:31])
    refused("manifest/object-shape", lambda: nmc.open(folder, key=KEY))


def test_each_salt_is_another(made, tmp_path, states):
    salts = set()
    for name in ("a.nmc", "d.nmc"):
        salts |= {d[:32] for n, d in members(made / name).items() if n.startswith("segments/")}
    assert len(salts) == 2 * FRAMES


def test_what_is_not_in_the_package(made):
    for name in ("a.nmc", "d.nmc"):
        for data in members(made / name).values():
            assert KEY not in data
            assert not data[8:].startswith(b'{"__metadata__"')


@pytest.mark.parametrize("directory", [False, True])
def test_resuming_takes_the_key(tmp_path, states, directory):
    path = tmp_path / "a.nmc"

    def writer(key, **options):
        return nmc.Writer(path, key_every=3, directory=directory, encrypt_key=key, **options)

    stopped = writer(KEY)
    for state in states[:4]:
        stopped.append(state)
    stopped._draft.close()
    for key in (OTHER, None):
        refused("input/unsupported", lambda: writer(key, resume=True))  # noqa: B023
    with writer(KEY, resume=True) as again:
        assert len(again) == 4
        for state in states[4:]:
            again.append(state)
    with nmc.open(path, key=KEY) as sequence:
        assert all(same_state(sequence[t], states[t]) for t in range(FRAMES))


def test_recovering_with_the_key_and_without(tmp_path, states):
    for name, key in (("a", KEY), ("b", None)):
        stopped = nmc.Writer(tmp_path / name, key_every=3, encrypt_key=KEY)
        for state in states[:4]:
            stopped.append(state)
        stopped._draft.close()
        refused("encryption/key-wrong", lambda: nmc.recover(tmp_path / name, key=OTHER))  # noqa: B023
        assert nmc.recover(tmp_path / name, key=key) == 4
        assert nmc.check(tmp_path / name, key=KEY).decoded == 4


def test_a_journal_with_another_digest_is_none():
    line = {"key_digest": "abc"}
    assert not journal_lines._SETTINGS["key_digest"](line["key_digest"])


@pytest.mark.sweep(4)
@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize("far", [False, True])
def test_a_package_that_grows(states, tmp_path, directory, far):
    path = tmp_path / "a.nmc"
    with serving(tmp_path) as server:
        target = f"{server.url}/a.nmc" if far else path
        options = {"storage_options": QUICK} if far else {}
        with nmc.Writer(path, key_every=3, directory=directory, encrypt_key=KEY) as writer:
            writer.append(states[0])
            with nmc.follow(target, key=OTHER, **options) as frames:
                refused("encryption/key-wrong", lambda: next(frames))
            with nmc.open_unfinished(target, key=KEY, **options) as sequence:
                assert same_state(sequence[0], states[0])
            with nmc.open_unfinished(target, **options) as sequence:
                refused("encryption/key-missing", lambda: sequence[0])
            with nmc.follow(target, key=KEY, poll=0.01, timeout=20, **options) as frames:
                assert same_state(next(frames), states[0])
                for t in range(1, FRAMES):
                    writer.append(states[t])
                    assert same_state(next(frames), states[t])
                writer.close()
                assert list(frames) == []


@pytest.mark.parametrize("name", ["a.nmc", "d.nmc", "large.nmc"])
def test_from_a_server_in_as_few_requests(made, states, name, tmp_path):
    with serving(made) as server:
        url = f"{server.url}/{name}"
        with nmc.open(url, key=KEY, storage_options=QUICK, cache=tmp_path / "cache") as sequence:
            asked = len(server.asked)
            assert asked <= 2
            assert same_state({n: sequence[3][n] for n in states[3]}, states[3])
            assert len(server.asked) - asked <= 2
        kept = [p.read_bytes() for p in (tmp_path / "cache").rglob("*") if p.is_file()]
        assert not any(b"__metadata__" in data for data in kept)  # the cache has what was sent
        refused("encryption/key-wrong", lambda: nmc.open(url, key=OTHER, storage_options=QUICK))
        assert nmc.check(url, key=KEY, storage_options=QUICK).decoded == FRAMES


def test_encrypting_and_decrypting_give_the_package_back(made, tmp_path):
    nmc.encrypt(made / "plain.nmc", tmp_path / "e.nmc", KEY)
    nmc.encrypt(tmp_path / "e.nmc", tmp_path / "f.nmc", OTHER, key=KEY, directory=True)
    nmc.decrypt(tmp_path / "f.nmc", tmp_path / "g.nmc", OTHER)
    assert (tmp_path / "g.nmc").read_bytes() == (made / "plain.nmc").read_bytes()
    refused("encryption/key-missing", lambda: nmc.decrypt(tmp_path / "e.nmc", tmp_path / "h.nmc"))
    refused(
        "encryption/key-missing", lambda: nmc.encrypt(tmp_path / "e.nmc", tmp_path / "h", OTHER)
    )
    refused("encryption/not-encrypted", lambda: nmc.decrypt(made / "plain.nmc", tmp_path / "h.nmc"))
    assert not (tmp_path / "h.nmc").exists()


def test_what_is_cut_stays_encrypted(made, states, tmp_path):
    nmc.extract(made / "a.nmc", [1, 2, 4], tmp_path / "x.nmc", key=KEY)
    nmc.concat([made / "plain.nmc", made / "a.nmc"], tmp_path / "y.nmc", key=KEY)
    for name, expected in (("x.nmc", [1, 2, 4]), ("y.nmc", [*range(FRAMES), *range(FRAMES)])):
        with nmc.open(tmp_path / name, key=KEY) as sequence:
            assert [same_state(s, states[t]) for s, t in zip(sequence, expected, strict=True)]
    refused("encryption/key-missing", lambda: nmc.extract(made / "a.nmc", [0], tmp_path / "z.nmc"))
    assert not (tmp_path / f"z.nmc{SUFFIX}").exists()


def test_threads_share_an_encrypted_sequence(made, states):
    wrong = []
    with nmc.open(made / "a.nmc", key=KEY, threads=2) as sequence:

        def look(t):
            with sequence.apart() as alone:
                if not same_state(alone[t], states[t]):
                    wrong.append(t)

        threads = [threading.Thread(target=look, args=(t,)) for t in range(FRAMES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    assert nmc.check(made / "a.nmc", key=KEY, threads=2).decoded == FRAMES


@pytest.mark.parametrize(
    "data",
    [
        KEY,
        KEY.hex().encode(),
        KEY.hex().upper().encode() + b"\n",
        b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        b"nmc-key aes-256-gcm " + KEY.hex().encode() + b"\n",
    ],
)
def test_files_of_keys_as_other_programs_make_them(tmp_path, data):
    (tmp_path / "k").write_bytes(data)
    assert nmc.SecretKey.read(tmp_path / "k") == nmc.SecretKey(KEY)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x" * 31,
        KEY.hex().encode()[:-1],
        b"nmc-key aes-128-gcm " + KEY.hex().encode(),
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        b"ssh-ed25519 AAAA studio\n",
        b"x" * 5000,
        "ключ".encode(),
    ],
)
def test_files_that_are_no_keys(tmp_path, data):
    (tmp_path / "k").write_bytes(data)
    finding = refused("input/unreadable", lambda: nmc.SecretKey.read(tmp_path / "k"))
    assert "keygen --symmetric" in finding.hint


def test_a_key_file_is_for_its_owner_alone(tmp_path):
    key = nmc.SecretKey.generate()
    key.write(tmp_path / "k")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    refused("host/exists", lambda: key.write(tmp_path / "k"))
    assert key.key.hex() not in repr(key)
    assert nmc.SecretKey.read(tmp_path / "k") == key
    assert nmc.SecretKey.generate() != key
