"""Models of groups of frames: one model that cameras see at any of several instants.

A model is one of a *group*, instants that follow one another, and a package's frame is that group.
"""

from nmc_framework.models.dynamic.group import (
    Drawing,
    GroupBatch,
    GroupModel,
    MarchedGroup,
    of_group,
)

__all__ = ["Drawing", "GroupBatch", "GroupModel", "MarchedGroup", "of_group"]
