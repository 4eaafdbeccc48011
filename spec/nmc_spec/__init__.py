"""The normative data of the NMC standard: issue catalogue, profiles, manifest layout and schemas.

Every value here is part of the standard (annexes A to C); code reads it and never repeats it.
"""

from nmc_spec.loader import (
    FORMAT_VERSION,
    FORMAT_VERSIONS,
    Column,
    Issue,
    Level,
    Profile,
    Requirement,
    issues,
    levels,
    manifest_layout,
    profiles,
    requirements,
    schema,
    schema_names,
)

__all__ = [
    "FORMAT_VERSION",
    "FORMAT_VERSIONS",
    "Column",
    "Issue",
    "Level",
    "Profile",
    "Requirement",
    "issues",
    "levels",
    "manifest_layout",
    "profiles",
    "requirements",
    "schema",
    "schema_names",
]
