"""A cell that tells every mistake in the wiring of an array: no two of its inputs can be exchanged."""

from __future__ import annotations

from circuits import AdderCell

LOPSIDED = AdderCell.from_expressions("lopsided", "A & ~B | Cin", "A ^ Cin & B")
"""Exchanging any two inputs changes the sum and the carry."""
