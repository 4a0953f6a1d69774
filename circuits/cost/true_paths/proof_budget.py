"""How far search and proof of the longest true path go, by default."""

RESOLUTION = 0.01
"""ps: bounds as near as this are taken as one."""
TRIES = 4000
"""Operands that the search evaluates, from each start."""
WORK = 12_000_000
"""Clauses that the proofs look at, in all; what a proof does not reach stays a bound."""
EXHAUSTIVE = 16
"""Operand bits up to which all operands are evaluated."""
