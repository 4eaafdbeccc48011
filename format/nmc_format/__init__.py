"""The syntax of NMC: bytes to structures and back, and every check that needs no decoding."""
