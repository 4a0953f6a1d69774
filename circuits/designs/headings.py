"""Several designs beside each other: labels that differ, and their definitions line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from circuits.designs.design_record import Design

_LABEL_CHARACTERS = 80
"""Characters of a label that stay before an appended digest."""
_DIGEST_CHARACTERS = 10


def told_apart(designs: Sequence[Design]) -> list[Design]:
    """The same designs with labels that tell them apart: different ones of one label are renamed "LABEL [DIGEST]".

    The digest is the beginning of `digest`, or of `cost_digest` where some of them differ in their costs only.
    """
    by_label: dict[str, list[Design]] = {}
    for design in designs:
        by_label.setdefault(design.label, []).append(design)
    suffixes = {label: _distinct_suffixes(namesakes) for label, namesakes in by_label.items()}
    return [_renamed(design, suffixes[design.label]) for design in designs]


def _distinct_suffixes(namesakes: Sequence[Design]) -> dict[str, str]:
    """Cost digest -> the digest to print behind the label that the designs share; empty where they are one design."""
    behaviours = {design.cost_digest: design.digest for design in namesakes}
    if len(behaviours) == 1:
        return {}
    behaviours_differ = len(set(behaviours.values())) == len(behaviours)
    return behaviours if behaviours_differ else {cost: cost for cost in behaviours}


def _renamed(design: Design, suffixes: dict[str, str]) -> Design:
    if not suffixes:
        return design
    suffix = suffixes[design.cost_digest][:_DIGEST_CHARACTERS]
    return replace(design, name=f"{design.label[:_LABEL_CHARACTERS]} [{suffix}]")


def side_by_side(definitions: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Line name -> the texts of all `definitions` (results of `Design.describe`); "none" where one lacks that line."""
    names = dict.fromkeys(name for definition in sorted(definitions, key=len, reverse=True) for name in definition)
    return {name: [definition.get(name, "none") for definition in definitions] for name in names}
