"""Evaluates approximate multipliers inside convolutional networks: data, trained models, layers, attacks, scenarios.

Importing this package imports nothing heavy; each module is imported where it is needed.
"""
