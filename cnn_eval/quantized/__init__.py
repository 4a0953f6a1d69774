"""Integer networks: quantisation, layers of integers, their gradients and files, and recovery without retraining."""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "cnn_eval.quantized.accumulators": ("Accumulator",),
        "cnn_eval.quantized.post_training": ("quantize",),
        "cnn_eval.quantized.quantized_files": (
            "is_quantized_file",
            "load_quantized",
            "save_quantized",
        ),
        "cnn_eval.quantized.quantized_layers": (
            "QuantizedConv2d",
            "QuantizedLinear",
            "layers_of_integers",
        ),
        "cnn_eval.quantized.recovery": ("recover",),
    },
)
