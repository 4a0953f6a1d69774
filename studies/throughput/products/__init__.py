"""Speeds of the products themselves: by every method, in every format, on layers of all shapes."""
