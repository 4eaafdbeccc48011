"""Packages in object storage: S3 as moto's server plays it."""

from __future__ import annotations

import numpy as np
import pytest
from nmc_samples import chain, write

import nmc

pytest.importorskip("s3fs", reason="s3fs is not installed")
moto_server = pytest.importorskip("moto.server", reason="moto's server is not installed")

pytestmark = pytest.mark.filterwarnings("ignore")  # those of these libraries are theirs to mend

FRAMES = 6


@pytest.fixture(scope="module")
def bucket():
    """Options for a store on loopback with an empty bucket."""
    import s3fs

    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {"key": "k", "secret": "s", "endpoint_url": f"http://{host}:{port}"}
    s3fs.S3FileSystem(**options).mkdir("bucket")
    yield options
    server.stop()


@pytest.mark.parametrize("directory", [False, True])
def test_pushed_read_and_followed(bucket, tmp_path, directory):
    states = chain(FRAMES)
    rng = np.random.default_rng(0)
    for state in states:
        state["noise"] = rng.integers(0, 2**32, 100_000, "u4")
    path = write(tmp_path / "a.nmc", states, key_every=3, directory=directory)
    url = f"s3://bucket/run{directory:d}/a.nmc"
    done = nmc.push(path, url, storage_options=bucket)
    assert done.sent == (FRAMES + 1 if directory else 1)
    assert nmc.push(path, url, storage_options=bucket).sent == 0
    assert nmc.check(url, storage_options=bucket).accepted
    with nmc.open(url, storage_options=bucket, cache=tmp_path / "cache") as sequence:
        for t in (5, 0, 3):
            assert all(sequence[t][n].tobytes() == states[t][n].tobytes() for n in states[t])
    assert len(list(nmc.follow(url, storage_options=bucket, poll=0.01))) == FRAMES
    with pytest.raises(nmc.FormatError, match="host/not-found"):
        nmc.open("s3://bucket/none.nmc", storage_options=bucket)
