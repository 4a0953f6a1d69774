"""The backends that run a LUT program on bit-planes; one file each, bit for bit the same results."""
