"""What sharing the groups of a chain out over workers gains."""
