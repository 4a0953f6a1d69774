"""Rows on one quantised network through integer multipliers: as they are, recovered, and retrained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from circuits import Design, adder, cost_report, error_metrics, mac_cost
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import AccuracyResult, difference
from cnn_eval.measure.sensitivities import products_per_image
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import load_model
from cnn_eval.quantized.post_training import quantize
from cnn_eval.quantized.recovery import recover
from studies.frame.study import Row

AS_IT_IS, RECOVERED, RETRAINED = "without retraining", "recovered", "retrained"
"""Stages of a network, as quantities of rows name them."""
ACCUMULATOR_BITS = 32
"""Width of the ripple-carry adder whose energy counts for a sum."""
Retrain = Callable[[nn.Module], nn.Module]


@dataclass(frozen=True)
class NetworkImages:
    """Images float32 [N, C, H, W] and labels int64 [N]. `calibration` and `recovery` count training images."""

    test: torch.Tensor
    labels: torch.Tensor
    training: torch.Tensor
    training_labels: torch.Tensor
    calibration: int
    recovery: int


class QuantizedRows:
    """The rows of the trained network `name`, which is quantised once for each scheme."""

    def __init__(self, name: str, images: NetworkImages) -> None:
        self.name, self.images = name, images
        self._model = load_model(name)
        self._products = sum(products_per_image(self._model, images.test).values())
        self._float = _measured(self._model, images)
        self._exact: dict[str, tuple[nn.Module, AccuracyResult]] = {}

    def exact_rows(self, schemes: list[str]) -> list[Row]:
        """The accuracies of the float network and of the quantised ones with exact products."""
        rows = [_accuracy(f"{self.name}, float", "accuracy", self._float)]
        for scheme in schemes:
            subject, exact = f"{self.name}, exact {scheme}", self._quantized(scheme)[1]
            rows.append(_accuracy(subject, "accuracy", exact))
            rows.append(_difference(subject, "accuracy less float", exact, self._float))
        return rows

    def design_rows(self, design: Design) -> list[Row]:
        """MAE in per cent of the range of products, and the energies of an image's products and sums."""
        subject = f"{self.name}, {design.label}"
        error = 100 * error_metrics(design).med.value / 2.0 ** sum(design.shape)
        energy = cost_report(design).drawn.energy * self._products
        both = mac_cost(design, adder("ripple", ACCUMULATOR_BITS)).energy * self._products
        remark = f"{self._products:,} products"
        sums = f"with {ACCUMULATOR_BITS}-bit ripple-carry adders"
        return [
            Row(subject, "MAE", error, unit="%"),
            Row(subject, "energy of all products an image", energy * 1e-9, unit="uJ", remark=remark),
            Row(subject, "energy of all products and sums an image", both * 1e-9, unit="uJ", remark=sums),
        ]

    def accuracy_rows(
        self, design: Design, scheme: str, *, retrain: Retrain | None = None, label: str = ""
    ) -> list[Row]:
        """Accuracies through `design` and their paired differences to the exact network of the scheme. `label` stands
        before the stage in the rows' quantities; `retrain` gets the recovered network."""
        subject = f"{self.name}, {design.label}"
        quantized, baseline = self._quantized(scheme)
        network = approximate(quantized, design, layers="all")
        recovered = recover(network, self.images.training[: self.images.recovery])
        stages: dict[str, nn.Module] = {AS_IT_IS: network, RECOVERED: recovered}
        if retrain is not None:
            stages[RETRAINED] = retrain(recovered)
        rows = []
        for stage, each in stages.items():
            result = _measured(each, self.images)
            rows.append(_accuracy(subject, f"accuracy, {label}{stage}", result))
            rows.append(_difference(subject, f"less exact, {label}{stage}", result, baseline))
        return rows

    def _quantized(self, scheme: str) -> tuple[nn.Module, AccuracyResult]:
        if scheme not in self._exact:
            calibration = self.images.training[: self.images.calibration]
            network = quantize(self._model, calibration, scheme=scheme)
            self._exact[scheme] = network, _measured(network, self.images)
        return self._exact[scheme]


def stages(rows: list[Row], label: str = "") -> Mapping[str, float]:
    """Stage -> accuracy in per cent, from the rows of `accuracy_rows` with that label."""
    prefix = f"accuracy, {label}"
    names = {f"{prefix}{stage}": stage for stage in (AS_IT_IS, RECOVERED, RETRAINED)}
    return {names[row.quantity]: row.measured for row in rows if row.quantity in names}


def _measured(model: nn.Module, images: NetworkImages) -> AccuracyResult:
    return AccuracyResult((predict(model, images.test) == images.labels).numpy())


def _accuracy(subject: str, quantity: str, result: AccuracyResult) -> Row:
    low, high = result.interval
    return Row(subject, quantity, 100 * result.accuracy, interval=(100 * low, 100 * high), unit="%")


def _difference(subject: str, quantity: str, result: AccuracyResult, baseline: AccuracyResult) -> Row:
    """Paired difference in percentage points."""
    moved, (low, high) = difference(result, baseline)
    return Row(subject, quantity, 100 * moved, interval=(100 * low, 100 * high), unit="pp")
