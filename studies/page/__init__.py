"""The page of results: its first ten lines, its picture of the claims under each network, and its tables."""
