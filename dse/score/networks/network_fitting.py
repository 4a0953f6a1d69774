"""Settings for a network: loaded and tried on its images before anything is scored, its layers and products read.

settings_for_network(...)   ScoreSettings for what a command line or a script says, checked
with_layers(...)            the same with the names and products of the layers that designs go to
check_fits(...)             whether a design can be scored in it
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from circuits.designs.design_record import Design
from circuits.errors import DesignError
from cnn_eval.attacks.shared.budgets import default_budget
from cnn_eval.data.own_images.user_images import is_user_data
from cnn_eval.layers.replaceable_layers import LAYERS
from cnn_eval.measure.network_accuracy import is_user_model, load_test_images, sample_count
from cnn_eval.measure.sensitivities import replaceable_products
from cnn_eval.measure.subject_networks import QuantizeSettings
from cnn_eval.models.registry import model_entry
from cnn_eval.models.user_model import check_model
from cnn_eval.quantized import post_training
from cnn_eval.quantized.accumulators import Accumulator
from dse.score.networks.network_settings import NetworkSettings
from dse.score.networks.scored_networks import calibration_images, evaluation_images, networks_for, subject_of
from dse.score.scorers.scorer import ScoreSettings
from dse.space.per_layer import Candidate

__all__ = ["check_fits", "settings_for_network", "with_layers"]

_LISTING_IMAGES = 4
"""Images to quantise a network with whose layers are only listed."""


def settings_for_network(
    model: str = "lenet5",
    *,
    weights: Path | str | None = None,
    data: str = "embedded",
    dataset: str | None = None,
    folder: Path | str | None = None,
    layers: str | tuple[str, ...] = "conv",
    quantize: QuantizeSettings | str | None = None,
    recover: int = 0,
    accumulator: Accumulator | None = None,
    images: int | None = None,
    attack_images: int | None = None,
    **others: Any,
) -> ScoreSettings:
    """Settings to score designs in a network, which is loaded and tried on its images first.

    `model` to `layers`: as in `cnn_eval.measure_accuracy` and `cnn_eval.load_images`; `layers` may also be names.
    `quantize`: how a float network is quantised, or the scheme alone; None: a float network for float designs, and one
    quantised by the defaults for integer designs. `recover`: images to correct each network from. `accumulator`: limits
    the sums of integer designs, for a quantised network. `images`, `attack_images`: default as many as `ScoreSettings`
    has, or all where there are fewer; without `attack_images` (0) robustness is left out. `others`: further fields of
    ScoreSettings. The budget of attacks is that of the data set, unless given.

    Raises DataError or DesignError in one line for anything that is missing or does not fit.
    """
    own = is_user_data(data)
    name = Path(data).name if own else dataset or ("mnist" if is_user_model(model) else model_entry(model).dataset)
    # With the notes on what was changed, which workers do not repeat.
    load_test_images(model=model, data=data, folder=folder, dataset=dataset)
    quantization = QuantizeSettings(quantize) if isinstance(quantize, str) else quantize
    network = NetworkSettings(
        # Absolute, so that workers find them from any folder.
        weights="" if weights is None else str(Path(weights).resolve()),
        data=str(Path(data).resolve()) if own else data,
        folder="" if folder is None else str(Path(folder).resolve()),
        layers=layers,
        recover=recover,
        accumulator=None if accumulator is None else (accumulator.bits, accumulator.overflow),
        **_quantization_fields(quantization),
    )
    settings = ScoreSettings(model=model, dataset=name, network=network)
    pictures, labels = evaluation_images(settings)
    check_model(networks_for(_EXACT_INTEGER if quantization else _EXACT, settings).base, pictures, labels)
    if quantization is not None:
        sample_count(quantization.images, len(calibration_images(settings)), "calibration images")
    if recover:
        sample_count(recover, len(calibration_images(settings)), "images to recover")
    others.setdefault("attack_epsilon", _attack_budget(pictures, None if own else name))
    return replace(
        settings,
        images=_count(images, ScoreSettings().images, len(pictures), "test images"),
        attack_images=_count(attack_images, ScoreSettings().attack_images, len(pictures), "images to attack"),
        **others,
    )


def with_layers(settings: ScoreSettings, layers: str | tuple[str, ...], *, integer: bool) -> ScoreSettings:
    """The settings with these layers ("conv", "linear", "all" or names) and their products an image.

    Names that are those of a kind become the kind, so that one choice has one key. `integer`: whether the designs are,
    so that layers that stay float in a quantised network do not count. Raises DesignError for names that are not there.
    """
    network, image = _surveyed(settings, integer), evaluation_images(settings)[0][:1]
    every = replaceable_products(network, image)
    if isinstance(layers, str):
        chosen = replaceable_products(network, image, layers=layers)
    else:
        for name in layers:
            if name not in every:
                raise DesignError(
                    f"layers must be of {settings.model} ({', '.join(every)}), but got {name!r}; correct the names."
                )
        chosen = {name: products for name, products in every.items() if name in layers}
    kinds = [kind for kind in LAYERS if _of_kind(network, image, kind) == list(chosen)]
    named = replace(settings.network, layers=kinds[0] if kinds else tuple(chosen), products=tuple(chosen.items()))
    return replace(settings, network=named)


def check_fits(candidate: Candidate, settings: ScoreSettings) -> None:
    """Raises DesignError, in one line, where the network cannot be computed through the candidate."""
    networks_for(candidate, settings).check(subject_of(candidate, settings))


_EXACT = Design()
_EXACT_INTEGER = Design(format=None, width=8, signed=True)


def _quantization_fields(quantization: QuantizeSettings | None) -> dict[str, Any]:
    if quantization is None:
        return {}
    default = QuantizeSettings()
    chosen = {
        "bits": quantization.bits,
        "calibration": quantization.calibration,
        "first_last": quantization.first_last,
        "calibration_images": quantization.images,
    }
    implied = {
        "bits": default.bits,
        "calibration": default.calibration,
        "first_last": default.first_last,
        "calibration_images": default.images,
    }
    # What is spelled out and what is left to a default have the same key.
    return {"quantize": quantization.scheme, **{name: v for name, v in chosen.items() if v != implied[name]}}


def _attack_budget(images: torch.Tensor, dataset: str | None) -> float:
    budget = default_budget("linf", images.shape[1:], dataset)
    return ScoreSettings().attack_epsilon if budget is None else budget.epsilon


def _count(given: int | None, default: int, available: int, what: str) -> int:
    if given is None:
        return min(default, available)
    return sample_count(given, available, what) if given else 0


def _surveyed(settings: ScoreSettings, integer: bool) -> nn.Module:
    """A network with the layers of the one that is scored; its scales may be coarse."""
    as_loaded = replace(settings.network, quantize="", accumulator=None)
    base = networks_for(_EXACT, replace(settings, network=as_loaded)).base
    if settings.network.first_last != "exact" or not integer:
        return base
    # The first and the last layer stay float.
    return post_training.quantize(base, calibration_images(settings)[:_LISTING_IMAGES], first_last="exact")


def _of_kind(network: nn.Module, image: torch.Tensor, kind: str) -> list[str]:
    try:
        return list(replaceable_products(network, image, layers=kind))
    except DesignError:
        return []
