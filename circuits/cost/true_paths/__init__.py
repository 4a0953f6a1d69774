"""The longest path that operands can really take: viability analysis and its SAT solver."""
