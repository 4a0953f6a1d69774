"""Adversarial examples: the committed ones, the cache of crafted ones, and pictures of them."""
