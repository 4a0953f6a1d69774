"""Kernels of matrix products whose products are looked up in a table that the gates have filled."""
