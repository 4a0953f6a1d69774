"""The backends that run a LUT program on bit-planes, one file each. All give bit for bit the same results."""
