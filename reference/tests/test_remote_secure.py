"""HTTPS with certificates that the tests make, proxies, and tokens that end."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import select
import socket
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, build_opener

import numpy as np
import pytest
from nmc_samples import chain, same_state, write
from web_server import QUICK, serving

import nmc
from nmc.remote import web_client

x509 = pytest.importorskip("cryptography.x509", reason="the extra trust is not installed")

STATES = [
    state | {"noise": np.random.default_rng(t).integers(0, 2**32, 100_000, "u4")}
    for t, state in enumerate(chain(6))
]
"""Each is more than what a reader asks for at once."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    web_client._trusted.cache_clear()
    made = tmp_path / "served"
    made.mkdir()
    write(made / "a.nmc", STATES, key_every=3, entropy="none")
    yield made
    web_client._trusted.cache_clear()


def certificate(path, *names, days=1):
    """Write a certificate for addresses or names, and its key, in one file."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "made by a test")])
    now = datetime.datetime.now(datetime.UTC)
    first, last = sorted((now - datetime.timedelta(hours=1), now + datetime.timedelta(days=days)))
    alternatives = [
        x509.IPAddress(ipaddress.ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
        for name in names
    ]
    made = (
        x509.CertificateBuilder(who, who, key.public_key(), x509.random_serial_number())
        .not_valid_before(first)
        .not_valid_after(last)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM
    path.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain) + made.public_bytes(pem)
    )
    return path


@contextmanager
def secure(folder, path):
    """Serve a folder over HTTPS; the address of the server is changed to that."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with serving(folder, context) as server:
        yield server


def opened(server, **options):
    url = f"{server.url}/a.nmc"
    return nmc.open(url, cache=False, storage_options={**QUICK, "timeout": 5.0, **options})


def failed(server):
    with pytest.raises(nmc.FormatError) as caught, opened(server):
        pass
    return caught.value.finding


def test_a_certificate_that_is_trusted(folder, tmp_path, monkeypatch):
    path = certificate(tmp_path / "own.pem", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with (
        secure(folder, path) as server,
        opened(server) as found,
    ):
        assert server.url.startswith("https://")
        assert all(same_state(found[t], STATES[t]) for t in range(6))
        assert len(server.asked) <= 2 + 6


@pytest.mark.parametrize("wrong", ["unknown", "another name", "expired"])
def test_certificates_that_are_not(folder, tmp_path, monkeypatch, wrong):
    names = ["example.org"] if wrong == "another name" else ["127.0.0.1"]
    days = -3 if wrong == "expired" else 1
    path = certificate(tmp_path / "own.pem", *names, days=days)
    if wrong != "unknown":
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with secure(folder, path) as server:
        found = failed(server)
    assert found.code == "host/server"
    assert "certificate" in found.message
    assert server.asked == []


def test_a_secure_server_does_not_send_elsewhere(folder, tmp_path, monkeypatch):
    """From HTTPS to HTTP: what was asked for in secret is not asked for in the open."""
    path = certificate(tmp_path / "own.pem", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with secure(folder, path) as server, serving(folder) as other:

        def elsewhere(handler, data, span):
            handler.send(302, b"", Location=f"{other.url}/a.nmc")
            return True

        server.misbehave = elsewhere
        assert failed(server).code == "host/server"
        assert other.asked == []


def test_http_where_https_was_named(folder):
    with serving(folder) as server:
        server.url = server.url.replace("http://", "https://")
        assert failed(server).code == "host/connection"


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def allowed(self):
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization")))
        said = self.headers.get("Proxy-Authorization")
        if self.server.secret and said != self.server.secret:
            self.send_response(407)
            self.send_header("Proxy-Authenticate", "Basic")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        return True

    def do_GET(self):
        if not self.allowed():
            return
        kept = {k: v for k, v in self.headers.items() if not k.lower().startswith("proxy-")}
        import urllib.request

        request = urllib.request.Request(self.path, headers=kept)
        with build_opener(ProxyHandler({})).open(request) as answer:
            body = answer.read()
            self.send_response(answer.status)
            for name in ("Content-Range", "Content-Length", "ETag"):
                if answer.headers[name]:
                    self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(body)

    def do_CONNECT(self):
        if not self.allowed():
            return
        host, _, port = self.path.partition(":")
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            ends = [self.connection, other]
            while True:
                ready, _, _ = select.select(ends, [], [], 5)
                if not ready:
                    return
                for end in ready:
                    data = end.recv(1 << 16)
                    if not data:
                        self.close_connection = True
                        return
                    ends[1 - ends.index(end)].sendall(data)


@contextmanager
def proxy(secret=""):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Proxy) as server:
        server.daemon_threads = True
        server.asked = []
        server.secret = secret and "Basic " + base64.b64encode(secret.encode()).decode()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            server.address = f"127.0.0.1:{server.server_address[1]}"
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("secret", ["", "user:p%40ss"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_through_a_proxy(folder, tmp_path, monkeypatch, scheme, secret):
    path = certificate(tmp_path / "own.pem", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    served = serving(folder) if scheme == "http" else secure(folder, path)
    with served as server, proxy(secret.replace("%40", "@")) as between:
        login = f"{secret}@" if secret else ""
        monkeypatch.setenv(f"{scheme}_proxy", f"http://{login}{between.address}")
        with opened(server, headers={"Authorization": "Bearer own"}) as sequence:
            assert all(same_state(sequence[t], STATES[t]) for t in range(6))
        host = urlsplit(server.url).netloc
        seen = [(command, target) for command, target, _ in between.asked]
        if scheme == "https":
            assert set(seen) == {("CONNECT", host)}  # once for each connection, and no secret in it
            assert {said for _, _, said in between.asked} == {None}
        else:
            assert set(seen) == {("GET", f"{server.url}/a.nmc")}
        assert {asked.headers.get("Authorization") for asked in server.asked} == {"Bearer own"}
        assert not any("Proxy-Authorization" in asked.headers for asked in server.asked)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_wants_another_secret(folder, tmp_path, monkeypatch, scheme):
    path = certificate(tmp_path / "own.pem", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    served = serving(folder) if scheme == "http" else secure(folder, path)
    with served as server, proxy("user:right") as between:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://user:wr0ng@{between.address}")
        found = failed(server)
    assert found.code == ("host/denied" if scheme == "http" else "host/connection")
    assert "407" in found.message
    assert "wr0ng" not in f"{found.message} {found.place} {found.hint}"
    assert server.asked == []


def test_a_proxy_is_passed_by_for_named_hosts(folder, monkeypatch):
    with serving(folder) as server, proxy() as between:
        monkeypatch.setenv("http_proxy", f"http://{between.address}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        with opened(server) as sequence:
            assert len(sequence) == 6
        assert between.asked == []


def test_a_token_that_ends_while_it_is_played(folder):
    with serving(folder) as server:
        count = iter(range(1000))

        def ends(handler, data, span):
            if next(count) < 3:
                return False
            handler.send(401, b"the token has ended", WWW_Authenticate="Bearer")
            return True

        server.misbehave = ends
        headers = {"Authorization": "Bearer secret"}
        with opened(server, headers=headers) as sequence:
            assert same_state(sequence[0], STATES[0])
            with pytest.raises(nmc.FormatError) as caught:
                for t in range(6):
                    assert same_state(sequence[t], STATES[t])  # never a wrong state
        assert caught.value.finding.code == "host/denied"
        assert "secret" not in str(caught.value)
