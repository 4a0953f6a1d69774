"""The networks, one file each with its training recipe."""
