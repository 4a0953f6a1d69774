"""Adversarial examples: the committed ones, the cache of crafted ones, and pictures of them."""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "cnn_eval.examples.stored_examples": (
            "AdversarialExamples",
            "load_examples",
        ),
    },
)
