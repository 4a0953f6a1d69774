"""Functions that make the rows of several studies."""
