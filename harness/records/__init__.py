"""What a run leaves behind: the source of truth."""
