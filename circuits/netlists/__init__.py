"""Netlists as immutable data, their simplification, and the LUT programs made from them."""
