"""Matrix products of float designs: by compiled kernels for many or few rows, from a table, or product by product."""
