"""Full-adder cells as data, and the Boolean expressions in which they are written."""
