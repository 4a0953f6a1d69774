"""What is known of the operands saves gates: zero activations are left out, and weights choose the code that runs."""
