"""Packages on disk (clauses 5.1 and 5.2): a directory or one file, the same bytes inside."""
