"""Kernels for exact circuits: the machine's own multiplications and additions, bit identical to the gates."""
