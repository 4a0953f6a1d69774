"""Image data sets, one file each: subsets inside the package, the full sets on demand, and a user's own images."""
