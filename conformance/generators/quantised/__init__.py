"""Vectors of chapter 12."""
