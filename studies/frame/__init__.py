"""Shared infrastructure of the studies: options, rows, verdicts, stored results and the results page."""
