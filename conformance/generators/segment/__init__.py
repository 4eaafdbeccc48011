"""Vectors of clause 6."""
