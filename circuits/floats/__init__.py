"""Floating-point formats and multiplication around a mantissa multiplier, as arithmetic and as a netlist."""
