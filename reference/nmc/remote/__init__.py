"""Packages on servers and in object storage: ranges of bytes, and every check of a local one."""
