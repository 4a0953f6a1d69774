"""Network layers that multiply through a design; one way of computing products a file."""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "cnn_eval.layers.approximate_layers": (
            "ApproximateConv2d",
            "ApproximateLinear",
            "approximate_layer",
        ),
        "cnn_eval.layers.approximation": (
            "approximate",
            "recomputed",
        ),
        "cnn_eval.layers.operand_recording": ("recorded_operands",),
        "cnn_eval.layers.product_kinds": (
            "BACKWARD",
            "COMPUTE",
        ),
        "cnn_eval.layers.replaceable_layers": (
            "LAYERS",
            "unreplaced",
        ),
    },
)
