"""What the attacks share: the base class, hyperparameters, the steps they are built from, default budgets."""
