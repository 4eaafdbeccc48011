"""Vectors of clause 10."""
