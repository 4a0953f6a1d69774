"""DA table 11: the layers of the quantised networks as built."""

from __future__ import annotations

from torch import nn

from cnn_eval.models.registry import build, weights_record
from studies.frame.study import Row, StudyOptions, StudyResult

TITLE = "architecture of the quantised networks, as built"
SOURCE = "DA table 11"
NETWORKS = {"dorefa_full": "full", "dorefa_weight": "weight-only", "dorefa_float": "float twin"}
PUBLISHED = (
    ("ConvolutionQuant", "BatchNorm", "reluQuant", "ConvolutionreluQuant", "MaxPooling", "BatchNorm", "reluQuant")
    + 2 * ("ConvolutionQuant", "BatchNorm", "reluQuant", "ConvolutionQuant", "MaxPooling", "BatchNorm", "reluQuant")
    + 2 * ("DenseQuant", "BatchNorm", "reluQuant")
    + ("Dense", "softmax")
)
"""The column "Fully Quantized". The column "Weight Quantized" has relu in place of reluQuant."""


def run(options: StudyOptions) -> StudyResult:
    """Returns one row per layer: its parameters, and its bits in the three networks. All levels are the same."""
    layers_by_network = {name: _layers(build(name, seed=0, for_training=True)) for name in NETWORKS}
    published = list(PUBLISHED)
    rows = []
    for number, layers in enumerate(zip(*layers_by_network.values(), strict=True), start=1):
        kind = type(layers[0]).__name__
        # "ConvolutionreluQuant" is one row of the table but two layers of the network, so it is removed at the second.
        published_row = (
            published.pop(0) if published[0] != "ConvolutionreluQuant" or kind != "QuantConv2d" else published[0]
        )
        bits = [getattr(layer, "bits", None) for layer in layers]
        remark = ", ".join(
            f"{label} {'float32' if layer_bits is None else f'{layer_bits} bits'}"
            for label, layer_bits in zip(NETWORKS.values(), bits, strict=True)
        )
        parameters = sum(parameter.numel() for parameter in layers[0].parameters())
        quantised = isinstance(layers[0], (nn.Conv2d, nn.Linear)) or kind == "QuantReLU"
        rows.append(
            Row(
                f"{number:2} {published_row}",
                _shape(layers[0]),
                parameters,
                unit="parameters",
                remark=remark if quantised else "",
            )
        )
    for name, label in NETWORKS.items():
        accuracy = weights_record(name)["accuracy"]["full"]
        rows.append(Row(f"{name} ({label})", "accuracy, full test set", accuracy["percent"], unit="%"))
    return StudyResult(
        rows,
        "measured",
        "DA names the kinds of layers, not their sizes; the widths are ours. The outputs of reluQuant are quantised in "
        "the full network only, the weights of ConvolutionQuant and DenseQuant in both, by DoReFa. softmax goes into "
        "the loss: the networks give logits. Accuracy as recorded beside the committed weights.",
        {"weights_sha256": {name: weights_record(name)["sha256"] for name in NETWORKS}},
    )


def _layers(model: nn.Module) -> list[nn.Module]:
    """Returns the layers without children, except for flattening, in order."""
    return [layer for layer in model.modules() if not list(layer.children()) and not isinstance(layer, nn.Flatten)]


def _shape(layer: nn.Module) -> str:
    """Describes the size of a layer; "elementwise" if it has none."""
    if isinstance(layer, nn.Conv2d):
        height, width = layer.kernel_size
        return f"{layer.in_channels} -> {layer.out_channels}, {height}x{width}"
    if isinstance(layer, nn.Linear):
        return f"{layer.in_features} -> {layer.out_features}"
    if isinstance(layer, nn.MaxPool2d):
        return f"{layer.kernel_size}x{layer.kernel_size}"
    return str(getattr(layer, "num_features", "elementwise"))
