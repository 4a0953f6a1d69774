"""Adversarial examples that are kept: committed ones, the user's cache, and pictures of them."""
