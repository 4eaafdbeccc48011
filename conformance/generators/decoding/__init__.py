"""Vectors of clause 7."""
