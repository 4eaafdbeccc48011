"""Packages, written (clause 5.1): begun, filled, closed, recovered, cut, joined and amended."""
