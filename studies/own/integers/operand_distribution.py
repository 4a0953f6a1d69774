"""Evolves 8x8 multipliers for the operands of one network's layers and for uniform ones, and compares the networks.

A network is quantised, and the operand codes of all its layers on training images are counted, each layer in proportion
to its products. Multipliers are evolved under limits on the mean absolute error, from the same seeds and with as many
circuits, once over these codes and once over all pairs alike. Then, for every multiplier evolved over all pairs: among
those evolved over the codes that need no more energy on the codes, the one of least mean error on them takes its place.
The accuracies of the two networks on the same test images, which neither evolution has seen, make a paired difference.

Unsigned multipliers multiply magnitudes (sign_magnitude): see `integer_networks`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuits import Design, cost_report
from cnn_eval.data.loading import load
from cnn_eval.layers.approximation import approximate
from cnn_eval.layers.operand_recording import recorded_operands
from cnn_eval.measure.network_accuracy import AccuracyResult, difference
from cnn_eval.measure.sensitivities import products_per_image
from cnn_eval.models.inference import predict
from cnn_eval.models.registry import load_model
from cnn_eval.quantized.post_training import quantize
from dse.evolution.error_limits import Limits
from dse.evolution.evolution_run import EvolutionOptions, evolve
from dse.evolution.evolved_circuits import evolved_circuit, weighted_values
from dse.evolution.operand_pairs import energy_operands
from dse.evolution.operand_weights import OperandWeights, weights_from
from dse.evolution.target_names import target_of
from dse.score.executor import available_cpus
from studies.frame.study import Row, StudyOptions, StudyResult

TITLE = "multipliers evolved for a network's own operands against those for uniform ones, at equal energy"
SOURCE = "our own study"
TOLERANCE = None

_METRIC = "mae_percent"
_SEEDS = tuple(
    Design(topology=topology, width=8, format=None, name=f"{topology} 8x8")
    for topology in ("dadda", "carry_save_array", "ripple_array")
)
_PAIRS = 1 << 20
"""Operand pairs drawn to count codes."""
_WORTH_PROCESSES = 100_000
_UNIFORM_SHARE = 0.01
"""Of all pairs alike in the distribution: no product may be arbitrarily wrong because few images had none like it."""


@dataclass(frozen=True)
class _Size:
    """What a level runs; `uniform` and `weighted` are limits in per cent of the range of products."""

    network: str
    uniform: tuple[float, ...]
    weighted: tuple[float, ...]
    evaluations: int
    restarts: int
    test_images: int
    recorded_images: int = 50
    calibration_images: int = 200


_LIMITS = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
_FINE = (0.01, 0.016, 0.025, 0.04, 0.06, 0.09, 0.13, 0.2, 0.3, 0.45, 0.7, 1.0)
_SIZES = MappingProxyType(
    {
        "quick": _Size("resnet8", (0.25, 1.0), (0.06, 0.18, 0.6), 12_000, 1, 200, 10, 60),
        "default": _Size("resnet20", _LIMITS, _FINE, 600_000, 4, 1000),
        "full": _Size("resnet20", _LIMITS, _FINE, 4_000_000, 8, 10_000),
    }
)


@dataclass(frozen=True)
class _Multiplier:
    """An evolved multiplier, with its mean error (per cent) and energy (fJ) over the network's codes."""

    design: Design
    error: float
    energy: float


def run(options: StudyOptions) -> StudyResult:
    """Evolves both sets of multipliers for one network and compares the networks."""
    size = _SIZES[options.level]
    test = load("cifar10", "test", source=options.data, folder=options.data_folder)
    images, labels = test.images[: size.test_images], test.labels[: size.test_images]
    training = load("cifar10", "train", source=options.data, folder=options.data_folder).images
    network = quantize(load_model(size.network), training[: size.calibration_images], scheme="sign_magnitude")
    codes = operand_codes(network, training[: size.recorded_images])
    weights = weights_from((1 - _UNIFORM_SHARE) * codes / codes.sum() + _UNIFORM_SHARE / codes.size, (8, 8), "codes")
    uniform = _evolved(size.uniform, size, weights, for_codes=False)
    weighted = _evolved(size.weighted, size, weights, for_codes=True)

    def accuracy(model: nn.Module) -> AccuracyResult:
        return AccuracyResult((predict(model, images) == labels).numpy())

    exact = accuracy(network)
    rows = [
        Row("operands", "pairs with a zero", 100 * (codes[0].sum() + codes[1:, 0].sum()) / codes.sum(), unit="%"),
        Row("operands", "mean activation code", _mean(codes.sum(axis=1))),
        Row("operands", "mean weight code", _mean(codes.sum(axis=0))),
        _accuracy(f"{size.network}, exact", exact),
    ]
    compared: list[tuple[float, float]] = []
    for one in uniform:
        other = counterpart(one, weighted)
        subject = f"energy at most {one.energy:.4g} fJ"
        pair = [("uniform operands", one)] + ([("the network's operands", other)] if other else [])
        results = [accuracy(approximate(network, each.design, layers="all")) for _, each in pair]
        for (label, each), result in zip(pair, results, strict=True):
            rows += [
                Row(f"{subject}, {label}", "energy on the network's operands", each.energy, unit="fJ"),
                Row(f"{subject}, {label}", "mean error on the network's operands", each.error, unit="%"),
                _accuracy(f"{subject}, {label}", result),
            ]
        if other:
            moved, interval = difference(results[1], results[0])
            compared.append(interval)
            ends = (100 * interval[0], 100 * interval[1])
            rows.append(Row(subject, "accuracy, the network's less uniform", 100 * moved, interval=ends, unit="pp"))
    return StudyResult(
        rows,
        "measured",
        finding(size.network, compared, len(uniform)),
        {
            "test images": len(images),
            "images whose operands are counted": size.recorded_images,
            "circuits tried for each limit": size.evaluations,
            "walks from seeds for each limit": size.restarts,
        },
    )


def operand_codes(network: nn.Module, images: torch.Tensor) -> NDArray[np.float64]:
    """float64 [256, 256]: how often each pair (activation, weight) of codes occurs in all layers of a quantised
    network."""
    recording = approximate(network, _SEEDS[0], layers="all", record=True)
    predict(recording, images)
    products = products_per_image(recording, images)
    counts = np.zeros((256, 256))
    for seed, (layer, count) in enumerate(products.items()):
        samples = round(_PAIRS * count / sum(products.values()))
        if samples:
            x, w = recorded_operands(recording, layer, samples=samples, seed=seed)
            np.add.at(counts, (x.astype(np.int64), w.astype(np.int64)), 1)
    return counts


def _evolved(limits: Sequence[float], size: _Size, weights: OperandWeights, *, for_codes: bool) -> list[_Multiplier]:
    targets = tuple(target_of(_SEEDS, Limits(((_METRIC, bound),))) for bound in limits)
    own = weights if for_codes else None
    options = EvolutionOptions(targets, "energy", size.evaluations, size.restarts, 0, own)
    # Processes take seconds to start; the circuits do not depend on their number.
    workers = 1 if size.evaluations < _WORTH_PROCESSES else available_cpus()
    with tempfile.TemporaryDirectory() as folder:
        walks = evolve(options, Path(folder), workers=workers)
    x, y = energy_operands((8, 8), weights)
    multipliers = []
    for target, walk in zip(targets, walks, strict=True):
        circuit = evolved_circuit(target.name, walk, target.design, target.limits, own)
        # The limits hold in each evolution's own measure, checked again from the netlist.
        assert circuit.within
        error = weighted_values(circuit.design, target.limits, weights)[_METRIC]
        energy = cost_report(circuit.design, operands=(x, y)).drawn.energy
        multipliers.append(_Multiplier(circuit.design, error, energy))
    return multipliers


def counterpart(one: _Multiplier, others: Sequence[_Multiplier]) -> _Multiplier | None:
    """Of those that need no more energy, the one of least error; None if all need more."""
    return min((other for other in others if other.energy <= one.energy), key=lambda m: m.error, default=None)


def finding(network: str, intervals: Sequence[tuple[float, float]], limits: int) -> str:
    """What the intervals of the differences in accuracy say."""
    better, worse = sum(low > 0 for low, _ in intervals), sum(high < 0 for _, high in intervals)
    text = (
        f"{network} through multipliers evolved for its own operands is more accurate than through those for uniform "
        f"ones at {better} of {len(intervals)} energies (95 % interval of the paired difference above 0), less at "
        f"{worse}; at {len(intervals) - better - worse} it cannot be told."
    )
    if len(intervals) < limits:
        text += f" At {limits - len(intervals)} energies there was none to compare."
    return text


def _mean(counts: NDArray[np.float64]) -> float:
    return float(counts @ np.arange(len(counts)) / counts.sum())


def _accuracy(subject: str, result: AccuracyResult) -> Row:
    low, high = result.interval
    return Row(subject, "accuracy", 100 * result.accuracy, interval=(100 * low, 100 * high), unit="%")
