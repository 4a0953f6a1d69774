"""Image data sets, one file each: embedded subsets and the full sets on demand."""
