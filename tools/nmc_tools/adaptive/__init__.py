"""Qualities of one sequence: the document that names them, and a client that chooses among them."""
