"""Files that are verified before use, a user's tensor files, and the range of seeds."""
