"""Radiance fields: families that say what is seen along each ray, by volume rendering."""

from nmc_framework.models.radiance.field import RadianceModel, Rendered

__all__ = ["RadianceModel", "Rendered"]
