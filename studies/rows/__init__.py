"""Functions that build rows shared by several studies."""
