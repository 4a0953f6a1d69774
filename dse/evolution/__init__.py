"""Evolution of multipliers gate by gate: Cartesian genetic programming under error limits.

A circuit is a `genome` of two-input gates. `operand_pairs` lays out all operand pairs as bit-planes; `kernels`
simulates gates, sums errors, mutates and selects, at the prices of `gate_costs`. `limit_check` judges a whole circuit.
`walk_tasks` runs walks in chunks that can be resumed, `evolution_run` many of them in rounds; `evolved_circuits` checks
and writes the results, `evolution_report` compares them.
"""
