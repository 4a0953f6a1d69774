"""Retraining of networks through their approximate multipliers, float and quantised ones alike."""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "cnn_eval.models.training_loop": ("DivergedError",),
        "cnn_eval.retraining.finetune_settings": ("FinetuneSettings",),
        "cnn_eval.retraining.finetuning": ("finetune",),
    },
)
