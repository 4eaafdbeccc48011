"""``nmc bench families``: what each family of models reaches, and in which time."""
