"""Matrix products with lanes over columns and groups as well as rows, in strips of 16 lanes."""
