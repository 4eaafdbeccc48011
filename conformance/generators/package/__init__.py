"""Vectors of clause 5."""
