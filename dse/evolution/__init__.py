"""Evolution of multipliers gate by gate: Cartesian genetic programming under error limits.

A circuit is a `genome` of two-input gates. `operand_pairs` lays out all operand pairs as bit-planes, `plane_kernels`
simulates gates and sums errors on them, `walk` mutates and selects, `gate_costs` gives it the cost model's numbers.
`tasks` runs walks in chunks that can be resumed, `sweep` many of them, and `outcomes` checks and writes the results.
"""
