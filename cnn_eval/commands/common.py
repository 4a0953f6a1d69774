"""Options and small things that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from circuits import AdderCell, Design, DesignError
from circuits.commands.common import add_cells, user_cells
from circuits.designs.headings import told_apart
from circuits.designs.named_designs import find_design
from circuits.support.cli import console, integer, print_json, say
from cnn_eval.attacks.budgets import BUDGETS, default_budget
from cnn_eval.layers.approximation import LAYERS, MODES, unreplaced
from cnn_eval.measure.network_accuracy import is_user_data, is_user_model
from cnn_eval.models.registry import model_entry

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH = 110  # of tables that are not printed to a terminal

Subject = Design | Mapping[str, Design]


def add_common(
    parser: argparse.ArgumentParser, model_help: str, *, computing: str = "--mode", samples: int | None = None
) -> None:
    """Designs, model and what every command on them takes; `computing`: the option's name where --mode is taken;
    `samples`: how many by default, None for all."""
    parser.add_argument(
        "designs",
        nargs="+",
        metavar="DESIGN",
        help="a named design, CELL_array for a ripple array of one cell, a .toml file, or a design a layer: "
        "LAYER=DESIGN,LAYER=DESIGN (the other layers stay exact)",
    )
    add_cells(parser)
    parser.add_argument("--model", default="lenet5", help=model_help)
    parser.add_argument("--layers", choices=LAYERS, default="conv", help="layers whose products go through the design")
    parser.add_argument(computing, choices=MODES, default="gate", help="gate by gate, or lowered to exact products")
    every = " (default: all)" if samples is None else ""
    parser.add_argument("--samples", type=integer(1), default=samples, help=f"images or examples to use{every}")
    parser.add_argument("--threads", type=integer(1, 4096), help="threads to compute on (default: all cores)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


DEFAULT_BUDGETS = "the data set's convention: " + "; ".join(
    f"{name} " + ", ".join(f"{budget.epsilon:.3g} {norm}" for norm, budget in budgets.items())
    for name, budgets in BUDGETS.items()
)
"""The budgets where --epsilon is left out, for its help."""


def chosen_budget(arguments: argparse.Namespace, norm: str, images: torch.Tensor) -> tuple[float, str]:
    """(--epsilon, or the default in `norm` for the images [N, C, H, W]; why it is this one)."""
    if arguments.epsilon is not None:
        return arguments.epsilon, "as given"
    dataset = None
    if not is_user_data(arguments.data):
        dataset = "mnist" if is_user_model(arguments.model) else model_entry(arguments.model).dataset
    budget = default_budget(norm, images.shape[1:], dataset)
    if budget is None:
        raise ValueError(
            f"--mode budget must have --epsilon in the norm {norm}, for which there is no default; give one."
        )
    return budget.epsilon, budget.reason


def note_unreplaced(model: nn.Module, layers: str, images: torch.Tensor) -> dict[str, str]:
    """`unreplaced`, with a note on standard error where it lists anything."""
    listed = unreplaced(model, layers, images=images)
    if listed:
        reasons = ", ".join(f"{name} ({reason})" for name, reason in listed.items())
        say(f"note: layers that cannot be replaced stay exact: {reasons}", file=sys.stderr)
    return listed


def subjects(arguments: argparse.Namespace, *, reserved: Sequence[str] = ()) -> list[Subject]:
    """The designs of the command line, each tried for its name and told apart by it; sets the threads. `reserved`:
    what the command calls networks of its own."""
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    cells = user_cells(arguments)
    chosen = [subject(text, cells) for text in arguments.designs]
    designs = iter(told_apart([entry for each in chosen for entry in _designs_of(each)]))
    chosen = [
        next(designs) if isinstance(each, Design) else {layer: next(designs) for layer in each} for each in chosen
    ]
    for each in chosen:
        if isinstance(each, Design) and each.label in reserved:
            raise DesignError(f"a design must not be called {each.label!r}, as another network here is; rename it.")
    return chosen


def _designs_of(subject: Subject) -> list[Design]:
    return [subject] if isinstance(subject, Design) else [*subject.values()]


def subject(text: str, cells: Mapping[str, AdderCell] | None = None) -> Subject:
    """A design, or a design by layer from "LAYER=DESIGN,LAYER=DESIGN"; `cells` as in `find_design`."""
    if "=" not in text:
        return find_design(text, cells)
    chosen: dict[str, Design] = {}
    for part in text.split(","):
        layer, _, name = part.partition("=")
        if not layer or not name or layer in chosen:
            raise DesignError(
                f"designs by layer must be LAYER=DESIGN,LAYER=DESIGN, each layer once, but got {text!r}; correct it."
            )
        chosen[layer] = find_design(name, cells)
    return chosen


def identity(subject: Subject) -> dict[str, Any]:
    """Name and digest, by layer where the designs are."""
    if isinstance(subject, Design):
        return {"design": subject.label, "digest": subject.digest}
    return {
        "design": ", ".join(f"{layer}={entry.label}" for layer, entry in subject.items()),
        "digest": {layer: entry.digest for layer, entry in subject.items()},
    }


def print_results(
    arguments: argparse.Namespace,
    rows: list[dict[str, Any]],
    more: dict[str, Any],
    *,
    keys: tuple[str, ...] = ("model", "layers", "mode", "samples"),
) -> int:
    """One JSON document: the command, its options `keys`, `more`, the rows."""
    settings = {key: getattr(arguments, key) for key in keys}
    print_json({"command": arguments.command, **settings, **more, "results": rows})
    return 0


def print_titled(title: str, printed: Table) -> int:
    """A title, an empty line, the table."""
    output = console(plain_width=_WIDTH)
    output.print(title, end="\n\n")
    output.print(printed)
    return 0


def span(interval: tuple[float, float], *, digits: int = 2, sign: str = "") -> str:
    """An interval of rates in percent."""
    return " .. ".join(f"{100 * end:{sign}.{digits}f}" for end in interval)
