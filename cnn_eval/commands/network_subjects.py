"""What the commands on networks do before they measure: designs, images, budgets, notes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from circuits.cells.adder_cells import AdderCell
from circuits.designs.design_record import Design
from circuits.designs.headings import told_apart
from circuits.errors import DesignError
from circuits.exchange.design_files import find_design
from circuits.exchange.design_options import user_cells
from circuits.support.cli import say
from cnn_eval.attacks.shared.budgets import default_budget
from cnn_eval.data.own_images.user_images import is_user_data
from cnn_eval.layers.replaceable_layers import unreplaced
from cnn_eval.measure.network_accuracy import is_user_model, load_test_images, sample_count
from cnn_eval.measure.subject_networks import QuantizeSettings, Subject, SubjectNetworks, unlabelled_images
from cnn_eval.models.registry import model_entry
from cnn_eval.models.user_model import check_model
from cnn_eval.quantized.accumulators import Accumulator
from cnn_eval.quantized.quantized_layers import layers_of_integers


def chosen_budget(arguments: argparse.Namespace, norm: str, images: torch.Tensor) -> tuple[float, str]:
    """(--epsilon, or the default in `norm` for the images [N, C, H, W]; the reason for it)."""
    if arguments.epsilon is not None:
        return arguments.epsilon, "as given"
    dataset = arguments.dataset
    if dataset is None and not is_user_data(arguments.data):
        dataset = "mnist" if is_user_model(arguments.model) else model_entry(arguments.model).dataset
    budget = default_budget(norm, images.shape[1:], dataset)
    if budget is None:
        raise ValueError(
            f"--mode budget must have --epsilon in the norm {norm}, for which there is no default; give one."
        )
    return budget.epsilon, budget.reason


class GivenImages(NamedTuple):
    """The test images of a command line, after the checks of the network that they are for."""

    images: torch.Tensor
    """float32 [N, C, H, W], those beyond `samples` included."""
    labels: torch.Tensor
    """int64 [N]"""
    samples: int
    """How many of the first images are measured."""
    unreplaced: dict[str, str]
    """See `note_unreplaced`."""

    @property
    def measured(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(images, labels) of the first `samples`."""
        return self.images[: self.samples], self.labels[: self.samples]


def given_images(arguments: argparse.Namespace, base: nn.Module, *, unit: bool = False, kept: int = 0) -> GivenImages:
    """The images of --data, --dataset and --folder for the network `base`; --samples of them are measured.

    `unit`: pixels must lie in [0, 1]. `kept`: images that must be left beyond the measured ones.
    """
    images, labels = load_test_images(
        model=arguments.model, data=arguments.data, folder=arguments.folder, dataset=arguments.dataset, unit=unit
    )
    what = "test images left to attack" if kept else "test images"
    count = sample_count(arguments.samples, len(images) - kept, what)
    check_model(base, images, labels)
    return GivenImages(images, labels, count, note_unreplaced(base, arguments.layers, images))


def note_unreplaced(model: nn.Module, layers: str, images: torch.Tensor) -> dict[str, str]:
    """`unreplaced`, with a note on standard error where it lists anything."""
    listed = unreplaced(model, layers, images=images)
    if listed:
        reasons = ", ".join(f"{name} ({reason})" for name, reason in listed.items())
        say(f"note: layers that cannot be replaced stay exact: {reasons}", file=sys.stderr)
    return listed


def subjects(arguments: argparse.Namespace, *, reserved: Sequence[str] = ()) -> list[Subject]:
    """The designs of the command line, with distinct names; sets the number of threads.

    `reserved`: names of the command's own networks. Raises DesignError for a design of such a name.
    """
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    cells = user_cells(arguments)
    chosen = [subject(text, cells) for text in arguments.designs]
    designs = iter(told_apart([design for each in chosen for design in _designs_of(each)]))
    chosen = [
        next(designs) if isinstance(each, Design) else {layer: next(designs) for layer in each} for each in chosen
    ]
    for each in chosen:
        if isinstance(each, Design) and each.label in reserved:
            raise DesignError(f"a design must not be called {each.label!r}, as another network here is; rename it.")
    return chosen


def quantization_of(arguments: argparse.Namespace) -> QuantizeSettings | None:
    """What --quantize and the options that go with it say; None for a network that is not quantised.

    Raises ValueError for an option that has no meaning without --quantize.
    """
    chosen = {
        "bits": arguments.bits,
        "calibration": arguments.calibration,
        "first_last": arguments.first_last,
        "images": arguments.calibration_images,
    }
    given = {name: value for name, value in chosen.items() if value is not None}
    if arguments.quantize is not None:
        return QuantizeSettings(arguments.quantize, **given)
    if given:
        name = next(iter(given)).replace("_", "-").replace("images", "calibration-images")
        raise ValueError(f"--{name} is for a network that is quantised, but --quantize is missing; give it.")
    return None


def subject_networks(arguments: argparse.Namespace) -> SubjectNetworks:
    """The networks of the command line: --model, --weights, --quantize and what goes with it, --recover."""
    quantization = quantization_of(arguments)
    images = None
    if quantization is not None or arguments.recover:
        images = unlabelled_images(
            model=arguments.model,
            data=getattr(arguments, "data", "embedded"),
            dataset=getattr(arguments, "dataset", None),
            folder=getattr(arguments, "folder", None),
        )
    return SubjectNetworks(
        arguments.model,
        getattr(arguments, "weights", None),
        quantization=quantization,
        recovered=arguments.recover or 0,
        images=images,
        accumulator=accumulator(arguments),
        layers=arguments.layers,
        compute=arguments.compute,
    )


def accumulator(arguments: argparse.Namespace) -> Accumulator | None:
    """That of --accumulator, None without it."""
    return None if arguments.accumulator is None else Accumulator(*arguments.accumulator)


def overflowed(network: nn.Module) -> float | None:
    """The share of the network's sums that left the range of their accumulator so far; None without accumulators."""
    counts = [layer.overflows for layer in layers_of_integers(network).values() if layer.overflows is not None]
    sums = sum(count.sums for count in counts)
    return sum(count.overflowed for count in counts) / sums if sums else None


def integer_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """How the network was quantised and recovered, for documents; empty where it was not."""
    keys = ("quantize", "bits", "calibration", "calibration_images", "first_last", "recover")
    settings = {key: value for key in keys if (value := getattr(arguments, key)) is not None}
    if arguments.accumulator is not None:
        settings["accumulator"] = "{}:{}".format(*arguments.accumulator)
    return settings


def _designs_of(subject: Subject) -> list[Design]:
    return [subject] if isinstance(subject, Design) else [*subject.values()]


def subject(text: str, cells: Mapping[str, AdderCell] | None = None) -> Subject:
    """A design, or one for each layer from "LAYER=DESIGN,LAYER=DESIGN"; `cells` as in `find_design`."""
    if "=" not in text:
        return find_design(text, cells)
    chosen: dict[str, Design] = {}
    for assignment in text.split(","):
        layer, _, name = assignment.partition("=")
        if not layer or not name or layer in chosen:
            raise DesignError(
                f"designs by layer must be LAYER=DESIGN,LAYER=DESIGN, each layer once, but got {text!r}; correct it."
            )
        chosen[layer] = find_design(name, cells)
    return chosen


def identity(subject: Subject) -> dict[str, Any]:
    """Name and digest, by layer where there is a design for each."""
    if isinstance(subject, Design):
        return {"design": subject.label, "digest": subject.digest}
    return {
        "design": ", ".join(f"{layer}={design.label}" for layer, design in subject.items()),
        "digest": {layer: design.digest for layer, design in subject.items()},
    }
