"""The player in the browser: its built page, and how ``nmc view`` opens it."""
