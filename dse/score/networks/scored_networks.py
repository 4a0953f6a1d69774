"""Networks and images as scorers use them: loaded once in a process, without notes, which the command has printed."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from functools import lru_cache

import torch
from torch import nn

from circuits.designs.design_record import Design
from circuits.designs.named_designs import design
from cnn_eval.data.own_images.user_images import is_user_data
from cnn_eval.examples.network_fingerprint import model_digest
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import base_network, load_test_images
from cnn_eval.measure.subject_networks import QuantizeSettings, Subject, SubjectNetworks, unlabelled_images
from cnn_eval.quantized.accumulators import Accumulator
from cnn_eval.quantized.quantized_files import is_quantized_file
from cnn_eval.support.verified_files import tensor_digest
from dse.score.networks.network_settings import NetworkSettings
from dse.score.scorers.scorer import ScoreSettings
from dse.space.per_layer import Candidate, LayerDesigns, designs_of

__all__ = [
    "baseline_of",
    "calibration_images",
    "evaluation_images",
    "image_digest",
    "networks_for",
    "own_network_digest",
    "source_network",
    "subject_of",
    "through",
]


def networks_for(candidate: Candidate, settings: ScoreSettings) -> SubjectNetworks:
    """The networks that a candidate is scored in.

    Integer designs need a quantised one: as `settings.network` says, otherwise by the design's signs and widths and
    the defaults of `QuantizeSettings`. Their baselines are exact integer products in the same network.
    """
    return _of(settings, integer=all(each.float_format is None for each in designs_of(candidate).values()))


def subject_of(candidate: Candidate, settings: ScoreSettings) -> Design | dict[str, Design]:
    """The candidate as `approximate` takes it: one design, or one by layer where the layers are chosen by name."""
    if isinstance(candidate, LayerDesigns):
        return candidate.designs
    names = settings.network.layer_names
    return dict.fromkeys(names, candidate) if names else candidate


def through(candidate: Candidate, settings: ScoreSettings) -> nn.Module:
    """The network through the candidate, recovered if the settings say so."""
    return networks_for(candidate, settings).through(subject_of(candidate, settings))


def baseline_of(candidate: Candidate, settings: ScoreSettings) -> nn.Module:
    """The network that the candidate loses against: with exact products, of integers where it is quantised."""
    networks = networks_for(candidate, settings)
    if networks.is_quantized:
        return networks.exact(subject_of(candidate, settings))
    return _float_exact(settings.model, settings.dataset, settings.network.loaded, settings.network.layers)


def source_network(settings: ScoreSettings) -> nn.Module:
    """The network that adversarial examples are crafted on: the float one; the quantised one where that is all."""
    networks = _of(settings, integer=False)
    return networks.base if networks.float_network is None else networks.float_network


def evaluation_images(settings: ScoreSettings) -> tuple[torch.Tensor, torch.Tensor]:
    """(images float32 [N, C, H, W], labels int64 [N]) that the network is tested on, all of them."""
    return _images(settings.model, settings.dataset, settings.network.loaded)


@lru_cache(maxsize=2)
def _images(model: str, dataset: str, network: NetworkSettings) -> tuple[torch.Tensor, torch.Tensor]:
    return load_test_images(
        model=model,
        data=network.data,
        folder=network.folder or None,
        dataset=None if is_user_data(network.data) else dataset,
        notes=False,
    )


def calibration_images(settings: ScoreSettings) -> torch.Tensor:
    """The unlabelled images that networks are quantised and recovered with, float32 [N, C, H, W]."""
    return _unlabelled(settings.model, settings.dataset, settings.network.loaded)


@lru_cache(maxsize=2)
def _unlabelled(model: str, dataset: str, network: NetworkSettings) -> torch.Tensor:
    return unlabelled_images(
        model=model,
        data=network.data,
        dataset=None if is_user_data(network.data) else dataset,
        folder=network.folder or None,
        notes=False,
    )


def image_digest(settings: ScoreSettings) -> str:
    """SHA-256 (hex) of the test images and their labels."""
    return _image_digest(settings.model, settings.dataset, settings.network.loaded)


@lru_cache(maxsize=8)
def own_network_digest(model: str, weights: str) -> str:
    """SHA-256 (hex) of all that determines what a user's network computes, its code included."""
    with redirect_stderr(io.StringIO()):
        return model_digest(base_network(model, weights or None))


@lru_cache(maxsize=8)
def _image_digest(model: str, dataset: str, network: NetworkSettings) -> str:
    return tensor_digest(*_images(model, dataset, network))


def _of(settings: ScoreSettings, *, integer: bool) -> SubjectNetworks:
    layers = settings.network.layers if isinstance(settings.network.layers, str) else "all"
    return _networks(settings.model, settings.dataset, settings.network.loaded, layers, integer)


@lru_cache(maxsize=4)
def _networks(model: str, dataset: str, network: NetworkSettings, layers: str, integer: bool) -> SubjectNetworks:
    given_codes = bool(network.weights) and is_quantized_file(network.weights)
    quantized = bool(network.quantize) or (integer and not given_codes)
    images = _unlabelled(model, dataset, network) if quantized or network.recover else None
    quantization = QuantizeSettings(**network.quantization) if quantized else None
    return _Quiet(
        model,
        network.weights or None,
        quantization=quantization,
        recovered=network.recover,
        images=images,
        accumulator=None if network.accumulator is None else Accumulator(*network.accumulator),
        layers=layers,
    )


class _Quiet(SubjectNetworks):
    """Networks made without notes: every worker would print them again."""

    def exact(self, subject: Subject) -> nn.Module:
        with redirect_stderr(io.StringIO()):
            return super().exact(subject)


@lru_cache(maxsize=2)
def _float_exact(model: str, dataset: str, network: NetworkSettings, layers: str | tuple[str, ...]) -> nn.Module:
    base, exact = _networks(model, dataset, network, "conv", False).base, design("exact")
    if isinstance(layers, str):
        return approximate(base, exact, layers=layers)
    return approximate(base, dict.fromkeys(layers, exact))
