"""Design-space exploration: spaces of arrays, scorers, the store of scores, the search and the comparison.

Importing this package imports nothing heavy; pymoo, torch and seaborn are imported where they are needed.
"""
