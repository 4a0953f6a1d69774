"""BLIF, the Berkeley logic interchange format: out, and in as yosys and ABC write it."""
