"""``nmc serve``: packages over HTTP, and pictures of them where a player cannot render."""

from nmc_tools.serve.access import Access, signed_token
from nmc_tools.serve.application import app

__all__ = ["Access", "app", "signed_token"]
