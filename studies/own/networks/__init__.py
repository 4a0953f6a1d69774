"""Own studies that repeat the paper's experiments on networks of different training."""
