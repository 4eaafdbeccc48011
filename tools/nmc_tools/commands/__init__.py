"""One module for each command of ``nmc``."""
