"""What all tests share: no test of hypothesis asserts on time."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("nmc", deadline=None)
settings.load_profile("nmc")
