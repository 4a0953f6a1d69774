"""DA figures 8 to 11: noise that white-box DeepFool and C&W need on the exact and the approximate LeNet-5."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from circuits.support.statistics import student_quantile
from cnn_eval.audit.wrapped_networks import StraightThrough
from cnn_eval.scenarios.control import CONTROL
from cnn_eval.scenarios.scenario_runs import white_box
from cnn_eval.scenarios.success import Outcome
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import Conclusion, surely_above, verdict
from studies.rows.attack_rows import Setting, rate_row, setting
from studies.rows.further_victims import MATCHED

TITLE = "L2, MSE and PSNR of white-box DeepFool and C&W on LeNet-5"
SOURCE = "DA figures 8 to 11, section 5.3"
TOLERANCE = 0.1
PUBLISHED = {
    ("deepfool", "l2"): 5.12,
    ("cw", "l2"): 1.23,
    ("deepfool", "mse"): 3,
    ("cw", "mse"): 6,
    ("deepfool", "psnr"): -7.8,
    ("cw", "psnr"): -4,
}
"""Published mean noise relative to the exact network (section 5.3).

L2 is given as a difference, MSE as a ratio, and PSNR as a difference in dB.
"""
Reals = NDArray[np.float64]
SAMPLES = {"quick": 8, "default": 50, "full": 200}
SLOPED = ("axfpm", "axfpm_tiled")
"""Designs that compute a bilinear form, whose slope is known. The released normalisation is not bilinear."""
RELEASED = "axfpm_released"
ALL_LAYERS_OF: dict[str, tuple[str, ...]] = {"quick": (), "default": (RELEASED,), "full": (RELEASED,)}
"""Designs that also take all layers, as in the authors' code."""
ATTACKS = ("deepfool", "cw")
BEST = ", best gradient"
"""What follows the name of a design where each image has the gradient that needs less noise: the weakest victim."""
GRADIENTS = (", ste", ", slope", ", matched gradient")
"""What follows the name of a design by the gradient through which it is attacked: the straight-through one, the slope
of a bilinear form, and that of the matched control, an exact network with the design's mean gain in each layer."""
UNITS = {"l2": "", "mse": "", "psnr": "dB"}
_LEAST_PAIRS = 4
"""Images below which a difference has no interval."""


def run(options: StudyOptions) -> StudyResult:
    """Attacks each network through every gradient that is known for it (GRADIENTS).

    Noise is compared image by image, on those that the attack fools on both networks.
    """
    further = {"all_layers": ALL_LAYERS_OF[options.level], "matched": (RELEASED,)}
    attacks, victims = white_box_victims(options, SAMPLES, further=further)
    rows: list[Row] = []
    for key in ATTACKS:
        outcomes = white_box_outcomes(attacks, victims, key)
        for name, outcome in outcomes.items():
            rows.append(rate_row(name, f"{key}: fooled", (outcome.fooled, int(outcome.eligible.sum())), None))
            rows += _noise_rows(name, key, outcome, outcomes["exact"])
    controls = [name for name in victims if is_control(name)]
    # The sort is stable: designs, then their best gradients, then controls.
    rows.sort(key=lambda row: (row.subject in controls, row.subject.endswith(BEST), _place(row.subject, victims)))
    conclusion, reason = conclude(rows)
    return StudyResult(rows, conclusion, reason, attacks.record())


def white_box_victims(
    options: StudyOptions,
    samples: Mapping[str, int],
    *,
    model: str = "lenet5",
    sloped: Sequence[str] = SLOPED,
    straight: Sequence[str] = (RELEASED,),
    further: Mapping[str, Sequence[str]],
) -> tuple[Setting, dict[str, nn.Module]]:
    """Returns the setting, and the victims with the gradient by which each is attacked behind its name.

    Designs have the straight-through gradient, the `sloped` ones also the slope of their bilinear form, and those with
    a matched control its gradient; controls and the exact network have their own.
    """
    attacks = setting(options, samples, (*sloped, *straight), model=model, further=further)
    slopes = setting(options, samples, sloped, model=model, backward="slope").victims
    own = [name for name in attacks.victims if is_control(name)]
    victims = {"exact": attacks.base}
    victims |= {f"{name}, ste": network for name, network in attacks.victims.items() if name not in own}
    victims |= {f"{name}, slope": slopes[name] for name in sloped}
    for name, network in attacks.victims.items():
        if (matched := attacks.victims.get(f"{name}{MATCHED}")) is not None:
            victims[f"{name}, matched gradient"] = StraightThrough(network, matched).eval()
    victims |= {name: attacks.victims[name] for name in own}
    return attacks, victims


def _place(subject: str, victims: Mapping[str, nn.Module]) -> int:
    """The place of a victim among all, or that of a design's first gradient for its best one."""
    names = list(victims)
    return names.index(f"{subject.removesuffix(BEST)}{GRADIENTS[0]}" if subject.endswith(BEST) else subject)


def is_control(name: str) -> bool:
    """Whether a victim is an exact network with other weights."""
    return name == CONTROL or name.endswith(MATCHED)


def white_box_outcomes(attacks: Setting, victims: Mapping[str, nn.Module], key: str) -> dict[str, Outcome]:
    """Attacks every victim with the smallest perturbations, and adds the best of the gradients of each design."""
    attacked = white_box(attacks.task(key, "minimum"), victims)
    outcomes = {name: result.outcome for name, result in attacked.items()}
    designs = [name.removesuffix(GRADIENTS[0]) for name in victims if name.endswith(GRADIENTS[0])]
    for name in designs:
        own = [outcomes[f"{name}{gradient}"] for gradient in GRADIENTS if f"{name}{gradient}" in outcomes]
        if len(own) > 1:
            outcomes[f"{name}{BEST}"] = reduce(best, own)
    return outcomes


def best(one: Outcome, other: Outcome) -> Outcome:
    """Returns the outcome of an attacker who keeps, image by image, the example with the lesser L2 of two attacks.

    Both are attacks on the same network through different gradients.
    """
    sizes = torch.stack([torch.where(each.success, each.noise["l2"], math.inf) for each in (one, other)])
    first = sizes[0] <= sizes[1]
    return Outcome(
        one.eligible | other.eligible,
        torch.where(first, one.same_wrong, other.same_wrong),
        torch.where(first, one.other_wrong, other.other_wrong),
        {name: torch.where(first, one.noise[name], other.noise[name]) for name in one.noise},
    )


def _noise_rows(name: str, key: str, outcome: Outcome, exact: Outcome) -> list[Row]:
    """Returns the mean noise of a victim and its paired comparison with the exact network."""
    rows = []
    both = outcome.success & exact.success
    for quantity, unit in UNITS.items():
        mean = outcome.mean_noise(quantity)
        if mean is not None:
            rows.append(Row(name, f"{key}: mean {quantity.upper()}", mean, unit=unit))
        if name == "exact" or not both.any():
            continue
        own, reference = (each.noise[quantity][both].double().numpy() for each in (outcome, exact))
        change, interval = (ratio_of_means if quantity == "mse" else mean_difference)(own, reference)
        published = PUBLISHED[key, quantity] if name.startswith("axfpm") and not is_control(name) else None
        comparison = f"{key}: {quantity.upper()} {'over' if quantity == 'mse' else 'less'} exact"
        rows.append(Row(name, comparison, change, published, interval, unit, f"paired, {len(own)} images"))
    return rows


def mean_difference(own: Reals, reference: Reals) -> tuple[float, tuple[float, float] | None]:
    """Returns the mean of own - reference, paired, and its interval by Student's t; None for under 4 pairs."""
    difference = own - reference
    return _with_interval(float(difference.mean()), difference)


def ratio_of_means(own: Reals, reference: Reals) -> tuple[float, tuple[float, float] | None]:
    """Returns mean(own) / mean(reference), paired, and its interval; None for under 4 pairs.

    To first order, with the ratio r, an image moves r by (own - r reference) / (n mean(reference)): the delta method.
    """
    ratio = float(own.mean() / reference.mean())
    return _with_interval(ratio, (own - ratio * reference) / reference.mean())


def _with_interval(value: float, spread: Reals) -> tuple[float, tuple[float, float] | None]:
    count = len(spread)
    if count < _LEAST_PAIRS:
        return value, None
    half = student_quantile(0.95, count - 1) * float(spread.std(ddof=1)) / math.sqrt(count)
    return value, (value - half, value + half)


def conclude(rows: Sequence[Row]) -> Conclusion:
    """Concludes from the paired differences of L2. In direction: that of every design's weakest victim is above 0.

    The weakest victim of a design with several gradients is the one with the best of them for each image.
    """
    several = {row.subject.removesuffix(BEST) for row in rows if row.subject.endswith(BEST)}
    weakest: dict[str, list[Row]] = {
        row.subject: []
        for row in rows
        if row.subject.endswith(BEST)
        or (row.subject.endswith(GRADIENTS[0]) and row.subject.removesuffix(GRADIENTS[0]) not in several)
    }
    for row in rows:
        if row.subject in weakest and row.quantity.endswith(": L2 less exact"):
            weakest[row.subject].append(row)
    texts = [
        f"{subject} {row.quantity.partition(':')[0]} {row.measured:+.2f}"
        + (f" ({row.interval[0]:+.2f} .. {row.interval[1]:+.2f})" if row.interval else "")
        for subject, own in weakest.items()
        for row in own
    ]
    larger = all(surely_above(row, 0) for own in weakest.values() for row in own)
    return verdict(reproduced=False, in_direction=larger), (
        f"L2 less exact of the weakest victims, paired: {', '.join(texts)}. An attack fails to find small "
        "perturbations where its gradient does not fit the network: the better one of each image counts (see audit)."
    )
