"""A design for each layer of a network, which a search over layers scores in place of one design for all layers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property

from circuits.designs.design_record import Design
from circuits.errors import DesignError
from circuits.support.documents import parse_toml, toml_string
from circuits.support.text import check_name

__all__ = [
    "Candidate",
    "LayerDesigns",
    "designs_of",
    "for_network",
    "read_candidate",
]


@dataclass(frozen=True)
class LayerDesigns:
    """Layers of a network, each with a multiplier of its own; layers that are not named stay exact.

    `layers`: (layer name, products an image, design), in the network's order. The products are the weights of means
    over layers (`dse.score.scorers.layer_scores`). `name`: what tables call it; no part of its identity. Like a Design,
    this is hashable data with digests and TOML.

    Raises DesignError when no layer is named, a name repeats, or the products are not positive integers.
    """

    layers: tuple[tuple[str, int, Design], ...]
    name: str | None = field(default=None, compare=False)

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

    @cached_property
    def digest(self) -> str:
        """Hex digest of the behaviour: layers, their products and the digests of their designs."""
        return self._digest("digest")

    @cached_property
    def cost_digest(self) -> str:
        """Hex digest of behaviour and cost."""
        return self._digest("cost_digest")

    def _digest(self, kind: str) -> str:
        parts = [[name, products, getattr(design, kind)] for name, products, design in self.layers]
        return hashlib.sha256(f"layers 1 {kind} {json.dumps(parts)}".encode()).hexdigest()

    @property
    def label(self) -> str:
        """The name, or the first ten digits of the digest, as for unnamed designs."""
        return self.digest[:10] if self.name is None else self.name

    def describe(self) -> dict[str, str]:
        """The exact definition, layer by layer, field by field."""
        described = {f"{name}: products an image": f"{products:,}" for name, products, _ in self.layers}
        for name, design in self.designs.items():
            described |= {f"{name}: {key}": value for key, value in design.describe().items()}
        return described

    def to_toml(self) -> str:
        """TOML with a table [layers.NAME] for each layer: its products and the design's own TOML; of imported circuits,
        which are long, `same_as` names the first layer with the same one."""
        tables = []
        first: dict[Design, str] = {}
        for name, products, design in self.layers:
            if design.circuit is not None and first.setdefault(design, name) != name:
                same = f"same_as = {toml_string(first[design])}"
                tables.append(f"[layers.{toml_string(name)}]\nproducts = {products}\n{same}\n")
                continue
            text = design.to_toml()
            # The TOML of an imported circuit holds literal strings itself.
            quoted = toml_string(text) if "'''" in text else f"'''\n{text}'''"
            tables.append(f"[layers.{toml_string(name)}]\nproducts = {products}\ndesign = {quoted}\n")
        return "\n".join(tables)

    @classmethod
    def from_toml(cls, text: str, *, where: str = "the TOML text") -> LayerDesigns:
        """What `to_toml` wrote; DesignError names `where` and what to correct."""
        tables = parse_toml(text, where).get("layers")
        if not isinstance(tables, dict) or not all(
            isinstance(entry, dict)
            and entry.keys() in ({"products", "design"}, {"products", "same_as"})
            and all(isinstance(entry.get(key, ""), str) for key in ("design", "same_as"))
            for entry in tables.values()
        ):
            raise DesignError(f"{where} must hold [layers.NAME] tables with products and design; correct it.")
        designs: dict[str, Design] = {}
        for name, entry in tables.items():
            if "design" in entry:
                designs[name] = Design.from_toml(entry["design"], where=f"layer {name} of {where}")
            elif entry["same_as"] in designs:
                designs[name] = designs[entry["same_as"]]
            else:
                raise DesignError(
                    f"same_as of layer {name} of {where} must be an earlier layer, but got {entry['same_as']!r}; "
                    "correct it."
                )
        return cls(tuple((name, entry["products"], designs[name]) for name, entry in tables.items()))


Candidate = Design | LayerDesigns
"""What a search scores: one design for all layers of the network, or a design for each."""


def read_candidate(text: str, *, where: str = "the TOML text") -> Candidate:
    """Reads what the `to_toml` of a Design or of LayerDesigns wrote."""
    if text.startswith("[layers."):
        return LayerDesigns.from_toml(text, where=where)
    return Design.from_toml(text, where=where)


def designs_of(candidate: Candidate) -> dict[str, Design]:
    """Layer -> design; a design for all layers has the empty name."""
    return candidate.designs if isinstance(candidate, LayerDesigns) else {"": candidate}


def for_network(candidate: Candidate) -> Design | dict[str, Design]:
    """The candidate in the form that `cnn_eval.layers.approximation.approximate` takes."""
    return candidate.designs if isinstance(candidate, LayerDesigns) else candidate
