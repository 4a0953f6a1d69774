"""Image data sets, one file each: subsets inside the package, the full sets on demand, and a user's own images."""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "cnn_eval.data.dataset_record": (
            "Source",
            "Split",
        ),
        "cnn_eval.data.dataset_registry": ("DATASETS",),
        "cnn_eval.data.fetching": ("fetch",),
        "cnn_eval.data.loading": ("load",),
        "cnn_eval.support.verified_files": ("DataError",),
    },
)
