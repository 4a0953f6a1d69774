"""Operand pairs that a network's layers give their multipliers, and the errors of a design on them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from numpy.typing import NDArray

from circuits.accuracy.measurement import error_metrics
from circuits.designs.design_record import Design
from circuits.designs.named_designs import design as named_design
from cnn_eval.layers.approximation import approximate
from cnn_eval.layers.operand_recording import recorded_operands
from cnn_eval.models.inference import predict
from dse.score.networks.scored_networks import calibration_images, networks_for
from dse.score.scorers.scorer import ScoreSettings

__all__ = ["errors_in_layer"]

Array = NDArray[Any]
_LEAST_PAIRS = 10_000
"""Pairs of a layer, where a share of `ScoreSettings.samples` would be fewer."""


@lru_cache(maxsize=1 << 14)
def errors_in_layer(
    design: Design, layer: str, layers: tuple[str, ...], settings: ScoreSettings, images: int
) -> tuple[float, float]:
    """(NMED, MRED) of `design` on the pairs recorded in `layer`, one of the approximate `layers`, on so many images.

    P_max is the largest product of the integer design's operands, so that layers compare; of float designs the largest
    recorded one.
    """
    exact = _exact_like(design)
    operands = _recorded(exact, layers, _what_counts(settings), images)[layer]
    metrics = error_metrics(design, operands=operands, threads=1)
    return metrics.med.value / (_largest_product(design) or metrics.p_max or 1.0), metrics.mred.value


def _largest_product(design: Design) -> int:
    """Of an integer design, as `ErrorMetrics` has it; 0 for floats."""
    w, v = design.shape
    if design.format is not None:
        return 0
    return 1 << w + v - 2 if design.signed else ((1 << w) - 1) * ((1 << v) - 1)


def _exact_like(design: Design) -> Design:
    """The exact design with which operands are recorded: of the codes of an integer design, else of float32."""
    if design.format is not None:
        return named_design("exact")
    return Design(format=None, width=design.width, signed=design.signed)


def _what_counts(settings: ScoreSettings) -> ScoreSettings:
    """Settings that are equal where the operands are."""
    return ScoreSettings(
        model=settings.model,
        dataset=settings.dataset,
        samples=settings.samples,
        seed=settings.seed,
        network=settings.network.loaded,
    )


@lru_cache(maxsize=2)
def _recorded(
    exact: Design, layers: tuple[str, ...], settings: ScoreSettings, images: int
) -> dict[str, tuple[Array, Array]]:
    """Layer -> (first operands, second operands), drawn from all products of the layer on the first images."""
    base = networks_for(exact, settings).exact(exact)
    network = approximate(base, dict.fromkeys(layers, exact), record=True)
    predict(network, calibration_images(settings)[:images])
    pairs = max(_LEAST_PAIRS, settings.samples // len(layers))
    return {
        layer: recorded_operands(network, layer, samples=pairs, seed=settings.seed + place)
        for place, layer in enumerate(layers)
    }
