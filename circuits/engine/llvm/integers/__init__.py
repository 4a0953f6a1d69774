"""Integer kernels around a program's compiled gates: products, and matrix products with bit-sliced sums."""
