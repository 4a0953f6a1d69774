"""Networks, one file each with its training recipe, their weights and training, quantisation, and a user's network."""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "cnn_eval.models.networks.alexnet": ("AlexNet",),
        "cnn_eval.models.inference": (
            "logits",
            "predict",
        ),
        "cnn_eval.models.networks.lenet5": ("LeNet5",),
        "cnn_eval.models.registration": ("ModelEntry",),
        "cnn_eval.models.registry": (
            "MODELS",
            "build",
            "load_model",
            "model_entry",
            "weights_record",
        ),
        "cnn_eval.models.networks.resnet": ("ResNet",),
        "cnn_eval.models.networks.table11": ("Table11",),
        "cnn_eval.models.user_model": ("load_user_model",),
    },
)
