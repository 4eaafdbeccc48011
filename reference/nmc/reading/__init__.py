"""Finished packages, read (clauses 7.1 and 11.2): as a sequence of states, or checked whole."""
