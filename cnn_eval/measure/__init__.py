"""Measurements of networks: accuracy, confidence, margin curves, robustness."""
