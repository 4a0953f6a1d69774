"""Verilog text to a syntax tree: tokens, numbers, expressions, statements and modules."""
