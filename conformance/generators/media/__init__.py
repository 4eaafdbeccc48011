"""Vectors of clause 16."""
