"""Vectors of clause 8, and its coder in plain integers."""
