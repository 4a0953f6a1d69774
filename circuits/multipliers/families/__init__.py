"""Families of approximate multipliers, a generator a file (`circuits.multipliers.FAMILIES` lists them)."""
