"""Experiments of the survey of implicit neural representations, each run by ``nmc experiment``."""
