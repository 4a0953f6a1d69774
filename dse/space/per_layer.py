"""A design for each layer of a network: what a search over layers scores in place of one design for all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from circuits.designs.design_record import Design
from circuits.errors import DesignError
from circuits.support.documents import parse_toml, toml_string
from circuits.support.text import check_name

__all__ = [
    "LayerDesigns",
    "Subject",
    "combined",
    "designs_of",
    "each_layer",
    "for_network",
    "in_each_layer",
    "read_subject",
]

Settings = TypeVar("Settings")


@dataclass(frozen=True)
class LayerDesigns:
    """Layers of a network, each with a multiplier of its own; layers that are not named stay exact.

    `layers`: (layer name, products an image, design), in the network's order. The products weigh what is a mean over
    products (`combined`). Like a Design it is hashable data with digests and TOML.

    Raises DesignError when no layer is named, a name repeats, or the products are not positive integers.
    """

    layers: tuple[tuple[str, int, Design], ...]

    def __post_init__(self) -> None:
        names = [name for name, _, _ in self.layers]
        if not names or len(set(names)) != len(names):
            raise DesignError(f"layers must be one or more distinct names, but got {', '.join(names) or 'none'}.")
        for name, products, _ in self.layers:
            check_name("a layer", name)
            if type(products) is not int or products < 1:
                raise DesignError(f"products of layer {name!r} must be a positive integer, but got {products!r}.")

    @property
    def designs(self) -> dict[str, Design]:
        """Layer name -> design, as `approximate` takes it."""
        return {name: design for name, _, design in self.layers}

    @property
    def digest(self) -> str:
        """Hex digest of the behaviour: of layers, their products and their designs' digests."""
        return self._digest("digest")

    @property
    def cost_digest(self) -> str:
        """Hex digest of behaviour and cost."""
        return self._digest("cost_digest")

    def _digest(self, kind: str) -> str:
        parts = [[name, products, getattr(design, kind)] for name, products, design in self.layers]
        return hashlib.sha256(f"layers 1 {kind} {json.dumps(parts)}".encode()).hexdigest()

    @property
    def label(self) -> str:
        """A short digest, as of unnamed designs."""
        return self.digest[:10]

    def describe(self) -> dict[str, str]:
        """The exact definition, layer by layer, field by field."""
        described = {f"{name}: products an image": f"{products:,}" for name, products, _ in self.layers}
        for name, design in self.designs.items():
            described |= {f"{name}: {key}": value for key, value in design.describe().items()}
        return described

    def to_toml(self) -> str:
        """[layers.NAME] with products and the design's own TOML."""
        parts = []
        for name, products, design in self.layers:
            text = design.to_toml()
            # Imported circuits hold literal strings themselves.
            quoted = toml_string(text) if "'''" in text else f"'''\n{text}'''"
            parts.append(f"[layers.{toml_string(name)}]\nproducts = {products}\ndesign = {quoted}\n")
        return "\n".join(parts)

    @classmethod
    def from_toml(cls, text: str, *, where: str = "the TOML text") -> LayerDesigns:
        """What `to_toml` wrote; DesignError names `where` and what to correct."""
        tables = parse_toml(text, where).get("layers")
        if not isinstance(tables, dict) or not all(
            isinstance(entry, dict) and entry.keys() == {"products", "design"} and isinstance(entry["design"], str)
            for entry in tables.values()
        ):
            raise DesignError(f"{where} must hold [layers.NAME] tables with products and design; correct it.")
        return cls(
            tuple(
                (name, entry["products"], Design.from_toml(entry["design"], where=f"layer {name} of {where}"))
                for name, entry in tables.items()
            )
        )


SUMMED = ("area", "transistors")
"""Columns that add up over the layers' multipliers."""
Subject = Design | LayerDesigns
"""What a search scores."""


def read_subject(text: str, *, where: str = "the TOML text") -> Subject:
    """What the `to_toml` of a Design or of LayerDesigns wrote."""
    if text.startswith("[layers."):
        return LayerDesigns.from_toml(text, where=where)
    return Design.from_toml(text, where=where)


def designs_of(subject: Subject) -> dict[str, Design]:
    """Layer -> design; a design for all layers stands under the empty name."""
    return subject.designs if isinstance(subject, LayerDesigns) else {"": subject}


def for_network(subject: Subject) -> Design | dict[str, Design]:
    """As `cnn_eval.layers.approximation.approximate` takes it."""
    return subject.designs if isinstance(subject, LayerDesigns) else subject


def combined(parts: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, float]:
    """The circuit scores of a network with a multiplier for each layer, from (products an image, that layer's scores).

    Delay: the slowest layer's. Area and transistors: the sum, and of their ratios to baselines the mean. All else
    (energy an operation, error): the mean over products.
    """
    total = sum(products for products, _ in parts)
    scores = {}
    for name in parts[0][1]:
        values = [found[name] for _, found in parts]
        if name.startswith("delay"):
            scores[name] = max(values)
        elif _is_summed(name):
            scores[name] = sum(values)
        elif name.startswith(SUMMED):
            scores[name] = sum(values) / len(values)
        else:
            weighted = zip(parts, values, strict=True)
            scores[name] = sum(products * value for (products, _), value in weighted) / total
    return scores


def in_each_layer(scores: Mapping[str, float], layers: int) -> dict[str, float]:
    """The scores of one design as those of a network that has its multiplier in each of `layers` layers.

    What `combined` gives for that design in every layer, so that a reference stands beside LayerDesigns like for like;
    of one design for all (`layers` 0) the scores as they are.
    """
    return {name: sum([value] * layers) if layers and _is_summed(name) else value for name, value in scores.items()}


def _is_summed(name: str) -> bool:
    return name.startswith(SUMMED) and "_to_" not in name


def each_layer(
    measure: Callable[[Design, Settings], dict[str, float]],
) -> Callable[[Subject, Settings], dict[str, float]]:
    """`measure` of a circuit, made to take LayerDesigns as well."""

    def measured(subject: Subject, settings: Settings) -> dict[str, float]:
        if isinstance(subject, LayerDesigns):
            return combined([(products, measure(design, settings)) for _, products, design in subject.layers])
        return measure(subject, settings)

    return measured
