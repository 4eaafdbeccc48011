"""Clients ask ``nmc serve`` for the content of a digest, once they know it: caches keep that."""

import numpy as np
import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("httptools")
pytest.importorskip("websockets")

from command_samples import state
from serving import running

import nmc
from nmc.remote.address import with_digest
from nmc_tools.serve import Access, app


class _Heard:
    """An application that notes what it is asked for."""

    def __init__(self, application):
        self.application, self.asked = application, []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            self.asked.append((scope["path"], scope["query_string"].decode()))
        await self.application(scope, receive, send)


@pytest.mark.parametrize("directory", [False, True])
def test_what_follows_the_manifest_is_asked_for_by_its_digest(tmp_path, directory):
    path = tmp_path / "x.nmc"
    with nmc.Writer(path, directory=directory, key_every=2) as writer:
        for t in range(4):
            noise = np.random.default_rng(t).integers(0, 256, 300_000, "u1")
            writer.append(state(t) | {"noise": noise})
    heard = _Heard(app([path], access=Access(("abc",))))
    with running(heard) as url, nmc.open(f"{url}x.nmc?token=abc") as sequence:
        digest = sequence.manifest.root.manifest_digest.hex()
        opened = len(heard.asked)
        assert all("digest" not in query for _, query in heard.asked)
        assert sequence[0]["noise"].size == 300_000
        later = heard.asked[opened:]
        assert later
        assert all(query == f"token=abc&digest={digest}" for _, query in later)


def test_a_digest_that_is_named_stays():
    assert with_digest("http://h/x.nmc", "ab") == "http://h/x.nmc?digest=ab"
    assert with_digest("http://h/x.nmc?a=1", "ab") == "http://h/x.nmc?a=1&digest=ab"
    assert with_digest("http://h/x.nmc?digest=cd", "ab") == "http://h/x.nmc?digest=cd"
