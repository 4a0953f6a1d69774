"""Files that are verified before use, and progress displays."""
