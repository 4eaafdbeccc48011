"""Vectors of clause 9."""
