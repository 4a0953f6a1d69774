"""An adder cell, and an array of it, that expose exchanged inputs: no two inputs of the cell can be exchanged."""

from __future__ import annotations

from circuits import AdderCell, Design

LOPSIDED = AdderCell.from_expressions("lopsided", "A & ~B | Cin", "A ^ Cin & B")
"""Exchanging any two inputs changes the sum and the carry."""
LOPSIDED_ARRAY = Design(placement=LOPSIDED, ports="pcs", name="lopsided")
"""A multiplier whose operands cannot be exchanged."""
