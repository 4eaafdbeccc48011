"""Ed25519 with plain integers, after RFC 8032, clause 5.1: keys of tests sign vectors with it.

What is signed here is public, and so are the keys: nothing in it has to be kept from anybody.
"""

from __future__ import annotations

import hashlib

SEEDS = tuple(hashlib.sha256(f"nmc test key {i}".encode()).digest() for i in range(3))
"""Private keys of the vectors, which everybody has."""

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, P - 2, P) % P
_Y = 4 * pow(5, P - 2, P) % P

_Point = tuple[int, int, int, int]


def _add(a: _Point, b: _Point) -> _Point:
    e = (a[1] - a[0]) * (b[1] - b[0]) % P
    f = (a[1] + a[0]) * (b[1] + b[0]) % P
    g = 2 * a[3] * b[3] * _D % P
    h = 2 * a[2] * b[2] % P
    i, j, k, m = f - e, h - g, h + g, f + e
    return i * j % P, k * m % P, j * k % P, i * m % P


def _times(scalar: int, point: _Point) -> _Point:
    made = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            made = _add(made, point)
        point = _add(point, point)
        scalar >>= 1
    return made


def _x_of(y: int) -> int:
    """Return the even x of a point of the curve."""
    square = (y * y - 1) * pow(_D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    return P - x if x & 1 else x


_BASE: _Point = (_x_of(_Y), _Y, 1, _x_of(_Y) * _Y % P)


def _encoded(point: _Point) -> bytes:
    inverse = pow(point[2], P - 2, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _secret(seed: bytes) -> tuple[int, bytes]:
    digest = hashlib.sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    return scalar & (1 << 254) - 8 | 1 << 254, digest[32:]


def public_key(seed: bytes) -> bytes:
    """Return the public key of a private one, 32 bytes each."""
    return _encoded(_times(_secret(seed)[0], _BASE))


def signature(seed: bytes, message: bytes) -> bytes:
    """Return the signature of a message, 64 bytes."""
    prefix = _secret(seed)[1]
    nonce = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % ORDER
    return answered(seed, message, nonce, _encoded(_times(nonce, _BASE)))


def answered(seed: bytes, message: bytes, nonce: int, point: bytes) -> bytes:
    """Return a signature of a message by a nonce and the point that it makes, as 32 bytes."""
    asked = hashlib.sha512(point + public_key(seed) + message).digest()
    answer = (nonce + int.from_bytes(asked, "little") * _secret(seed)[0]) % ORDER
    return point + answer.to_bytes(32, "little")
