"""How a design is scored: scorers, constraints, workers and the store of scores."""
