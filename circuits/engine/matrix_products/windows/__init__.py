"""Matrix products whose lanes are elements of x rather than rows: each element is packed once for all that it meets."""
