"""Vectors of clause 4."""
