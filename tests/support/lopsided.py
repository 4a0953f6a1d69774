"""An adder cell that exposes every mistake in an array's port assignment: no two of its inputs can be exchanged."""

from __future__ import annotations

from circuits import AdderCell

LOPSIDED = AdderCell.from_expressions("lopsided", "A & ~B | Cin", "A ^ Cin & B")
"""Exchanging any two inputs changes the sum and the carry."""
