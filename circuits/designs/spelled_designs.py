"""Designs spelled out on a command line, "drum:width:8:k:4": a topology, then names and values of fields and options.

Colons, because other commands give equals signs and commas a meaning of their own (LAYER=DESIGN,LAYER=DESIGN).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from circuits.cells.adder_cells import AdderCell
from circuits.designs import field_checks
from circuits.designs.design_record import Design
from circuits.designs.placement import Placement
from circuits.errors import DesignError, unknown_name
from circuits.multipliers import FAMILIES, TOPOLOGIES, find_topology

EXAMPLE = "drum:width:8:k:4"
_LEFT_OUT = ("topology", "circuit", "options", "name")


def is_spelled(text: str) -> bool:
    """Whether `text` begins with the name of a topology and a colon."""
    name, colon, _ = text.partition(":")
    return bool(colon) and (name in TOPOLOGIES or name in FAMILIES)


def spelled_design(text: str, cells: Mapping[str, AdderCell] | None = None) -> Design:
    """The design that "TOPOLOGY:NAME:VALUE:NAME:VALUE" spells, called by that text where a name may be so long.

    A name is a field of `Design` or an option of the topology. With a width and no format it is an integer design.
    `width` is a number, or two as in 8x6; `placement` a cell, of the library or of `cells`. Raises DesignError.
    """
    topology, *words = text.split(":")
    if len(words) % 2 or not all(words):
        raise DesignError(
            f"a design must be spelled TOPOLOGY:NAME:VALUE:..., as {EXAMPLE}, but got {text!r}; correct it."
        )
    own = find_topology(topology).options
    known = [item.name for item in fields(Design) if item.name not in _LEFT_OUT]
    arguments: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in zip(words[::2], words[1::2], strict=True):
        if name not in own and name not in known:
            raise unknown_name(f"field or option of {topology!r}", name, [*known, *own])
        chosen = options if name in own else arguments
        if name in chosen:
            raise DesignError(f"each field must be given once, but {text!r} gives {name!r} twice; leave one out.")
        # An option that takes words keeps "2" as one.
        chosen[name] = _field(name, value, cells) if chosen is arguments else _option(own[name], value)
    if "width" in arguments:
        arguments.setdefault("format", None)
    called = text if field_checks.is_name(text) else None
    return Design(topology=topology, options=options, name=called, **arguments)


def _field(name: str, value: str, cells: Mapping[str, AdderCell] | None) -> Any:
    if name == "placement":
        return Placement.of(value, cells)
    if name == "format" and value == "integer":
        return None
    if value in ("true", "false"):
        return value == "true"
    if name == "width" and (pair := re.fullmatch(r"([0-9]{1,3})x([0-9]{1,3})", value)):
        return int(pair[1]), int(pair[2])
    return int(value) if re.fullmatch(r"[0-9]{1,9}", value) else value


def _option(option: Any, value: str) -> Any:
    return int(value) if re.fullmatch(r"[0-9]{1,9}", value) and not hasattr(option, "choices") else value
