"""The networks of one measurement: float, quantised with exact products, and through each subject, recovered or not."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from circuits import Design, DesignError
from circuits.support.cli import say
from cnn_eval.choices import CALIBRATION_IMAGES
from cnn_eval.data.loading import load
from cnn_eval.data.own_images.user_images import is_user_data
from cnn_eval.layers.approximate_layers import approximate_layers
from cnn_eval.layers.approximation import approximate
from cnn_eval.measure.network_accuracy import (
    base_network,
    is_user_model,
    load_test_images,
    sample_count,
)
from cnn_eval.models.registry import model_entry
from cnn_eval.quantized.accumulators import Accumulator
from cnn_eval.quantized.post_training import quantize
from cnn_eval.quantized.quantized_files import is_quantized_file
from cnn_eval.quantized.quantized_layers import QuantizedLayer, layers_of_integers
from cnn_eval.quantized.recovery import recover
from cnn_eval.quantized.schemes import SCHEMES, check_scheme, scheme_for

__all__ = ["QuantizeSettings", "Subject", "SubjectNetworks", "unlabelled_images"]

Subject = Design | Mapping[str, Design]
"""A design for all layers, or one for each layer by its name."""


@dataclass(frozen=True)
class QuantizeSettings:
    """How a float network is quantised for a design; see `quantize`. `bits` None: the design's widths. `images`: how
    many are calibrated on, None for CALIBRATION_IMAGES or all of fewer."""

    scheme: str = "auto"
    bits: tuple[int, int] | None = None
    calibration: str = "percentile"
    first_last: str = "quantized"
    images: int | None = None

    def __post_init__(self) -> None:
        check_scheme(self.scheme)

    def codes_for(self, subject: Subject) -> tuple[str, tuple[int, int]]:
        """(scheme, widths) of the network for a subject. Raises DesignError where its designs do not fit them."""
        designs = [subject] if isinstance(subject, Design) else list(subject.values())
        for design in designs:
            if design.float_format is not None:
                raise DesignError(
                    f"a quantised network needs integer designs, format=None, but {design.label} has "
                    f"format={design.format!r}; give an integer design, or leave out the quantisation."
                )
        first = designs[0]
        scheme = scheme_for(signed=first.signed) if self.scheme == "auto" else self.scheme
        bits = self.bits or first.shape
        for design in designs:
            if design.signed != SCHEMES[scheme].signed or design.shape != bits:
                needed, given = ("signed" if each else "unsigned" for each in (SCHEMES[scheme].signed, design.signed))
                raise DesignError(
                    f"a network quantised to {scheme} of {bits[0]} x {bits[1]} bits needs {needed} designs of these "
                    f"widths, but {design.label} is {given} of {design.shape[0]} x {design.shape[1]} bits; choose "
                    "another scheme or other bits."
                )
        return scheme, bits


class SubjectNetworks:
    """Builds the networks for subjects from one trained network; quantised ones are made once for each kind of codes.

    `model`, `weights`: as in `base_network`; weights that `save_quantized` wrote are a quantised network.
    `quantization`: None for float designs. `images` float32 [N, C, H, W]: unlabelled images of the data set to
    calibrate on and to recover with, the first `recovered` of which `recover` uses (0: no recovery).
    `accumulator`: limits the sums of the layers that multiply through a subject; those of the exact network stay exact.
    `layers`, `compute`: see `approximate`.
    """

    def __init__(
        self,
        model: str,
        weights: Path | str | None = None,
        *,
        quantization: QuantizeSettings | None = None,
        recovered: int = 0,
        images: torch.Tensor | None = None,
        accumulator: Accumulator | None = None,
        layers: str = "conv",
        compute: str = "auto",
    ) -> None:
        given_codes = weights is not None and is_quantized_file(weights)
        if given_codes and quantization is not None:
            raise ValueError(f"{weights} is quantised already and must be used without --quantize; leave that out.")
        if accumulator is not None and not given_codes and quantization is None:
            raise ValueError(
                "an accumulator of few bits needs a network that is quantised, but this one is float; give --quantize."
            )
        self._quantization = quantization
        self._recovered = recovered
        self._images = images
        self._accumulator = accumulator
        self._how: dict[str, Any] = {"layers": layers, "compute": compute}
        self.base = base_network(model, weights)
        """The network as it was loaded, float or quantised."""
        self._quantized: dict[tuple[str, tuple[int, int]], nn.Module] = {}
        self.is_quantized = given_codes or quantization is not None
        self.float_network: nn.Module | None = self.base
        """The float network, None where only a user's quantised weights are known."""
        if given_codes:
            self.float_network = None if is_user_model(model) else base_network(model)

    def exact(self, subject: Subject) -> nn.Module:
        """The network that `subject` approximates: the float one, or the quantised one with exact products."""
        if self._quantization is None:
            return self.base
        key = self._quantization.codes_for(subject)
        if key not in self._quantized:
            assert self._images is not None
            count = self._quantization.images or min(CALIBRATION_IMAGES, len(self._images))
            count = sample_count(count, len(self._images), "calibration images")
            self._quantized[key] = quantize(
                self.base,
                self._images[:count],
                scheme=key[0],
                bits=key[1],
                calibration=self._quantization.calibration,
                first_last=self._quantization.first_last,
            )
        return self._quantized[key]

    def codes_of(self, subject: Subject) -> str:
        """What a quantised network of this subject is called: the scheme and widths of its layers."""
        layer = next(iter(layers_of_integers(self.exact(subject)).values()))
        return f"{layer.scheme} {layer.bits[0]}x{layer.bits[1]}"

    def common_exact(self, subjects: Sequence[Subject]) -> nn.Module:
        """`exact`, the same for all subjects. Raises ValueError where they need different codes."""
        if self._quantization is not None:
            kinds = {self._quantization.codes_for(subject) for subject in subjects}
            if len(kinds) > 1:
                texts = ", ".join(f"{scheme} of {w} x {v} bits" for scheme, (w, v) in sorted(kinds))
                raise ValueError(
                    f"designs must share one exact network, on which examples are crafted, but need {texts}; run them "
                    "apart."
                )
        return self.exact(subjects[0])

    @property
    def is_only_the_design(self) -> bool:
        """Whether `approximate(exact(subject), subject)` is all that `through` does."""
        return not self._recovered and self._accumulator is None

    def through(self, subject: Subject, *, backward: str = "ste") -> nn.Module:
        """The network through `subject`, with the accumulator and recovered if that was asked for."""
        network = approximate(self.exact(subject), subject, backward=backward, **self._how)
        self._limit_sums(network)
        if not self._recovered:
            return network
        assert self._images is not None
        count = sample_count(self._recovered, len(self._images), "images to recover")
        recovered = recover(network, self._images[:count])
        # Once more, so that overflows are counted from here on.
        self._limit_sums(recovered)
        return recovered

    def _limit_sums(self, network: nn.Module) -> None:
        if self._accumulator is not None:
            for layer in approximate_layers(network).values():
                assert isinstance(layer, QuantizedLayer)
                layer.accumulate_in(self._accumulator)

    def check(self, subject: Subject) -> None:
        """Raises DesignError, before any work, for a subject that does not fit; costs a copy of a float network."""
        if self._quantization is not None:
            self._quantization.codes_for(subject)
        else:
            approximate(self.base, subject, **self._how)


def unlabelled_images(
    *,
    model: str,
    data: str = "embedded",
    dataset: str | None = None,
    folder: Path | str | None = None,
    notes: bool = True,
) -> torch.Tensor:
    """Images to calibrate on, float32 [N, C, H, W]: the data set's training images, or a user's own images.

    A user's file has no training images: its own are used, without their labels, and a note says so, if `notes`.
    """
    if is_user_data(data):
        if notes:
            say(f"note: calibrated on the images of {data} themselves, without their labels", file=sys.stderr)
        return load_test_images(model=model, data=data, notes=False)[0]
    name = dataset or ("mnist" if is_user_model(model) else model_entry(model).dataset)
    return load(name, "train", source=data, folder=folder).images  # type: ignore[arg-type]  # load checks it
