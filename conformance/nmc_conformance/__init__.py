"""Judges implementations of NMC, started as external programs, by the vectors of the standard."""

PROTOCOL_VERSION = 1
"""Version of the protocol that programs under test speak (conformance/PROTOCOL.md)."""
