"""The comparison, `python -m dse.compare A B ...`: definitions, error, cost, accuracy and transfer side by side."""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from circuits.commands.design_options import user_cells
from circuits.designs.design_record import NAMED, Design, find_designs, side_by_side
from circuits.support.cli import Commands, console, integer, print_csv, print_json, run_alone, table
from circuits.support.numbers import SIGNIFICANT, number
from circuits.support.options import add_cells, add_format, add_workers
from dse.explore.search_progress import Reporter
from dse.present.score_table import COSTS, Row, cost_note, estimates_note, row_data
from dse.score.evaluation import Evaluator, Failure, measure
from dse.score.executor import Processes, available_cpus
from dse.score.scorers import EMBEDDED_IMAGES, SCORERS, Scores, Settings
from dse.score.store import Store

__all__ = ["compare", "main"]


@dataclass(frozen=True)
class _Line:
    """A line of the comparison: its heading, and the text for a design."""

    heading: str
    text: Callable[[Scores], str]


def compare(designs: Sequence[Design], *, settings: Settings, workers: int = 1, progress: bool = False) -> list[Row]:
    """Every design with all scores, in order, by the scorers of the search. ValueError when one cannot be scored."""
    distinct = list({design.cost_digest: design for design in designs}.values())
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(Path(folder) / "store.sqlite") as store,
        Reporter(enabled=progress) as reporter,
        Processes(measure, min(workers, len(distinct))) as executor,
    ):
        reporter.stage("designs scored", len(distinct))
        evaluator = Evaluator(store, executor, settings)
        found = dict(
            zip(
                (design.cost_digest for design in distinct),
                evaluator.score(distinct, tuple(SCORERS.values()), reporter.advance),
                strict=True,
            )
        )
    rows = []
    for design in designs:
        scores = found[design.cost_digest]
        if isinstance(scores, Failure):
            raise ValueError(f"{design.label} must be scored, but: {scores.reason}")
        rows.append(Row(design, scores))
    return rows


def _plain(name: str, spec: str) -> Callable[[Scores], str]:
    return lambda scores: number(scores[name], spec)


def _interval(name: str, spec: str) -> Callable[[Scores], str]:
    def text(scores: Scores) -> str:
        value, low, high = (number(scores[key], spec) for key in (name, f"{name}_low", f"{name}_high"))
        return f"{value} [{low}, {high}]" if low != "-" else value

    return text


def _transfer(prefix: str, name: str) -> Callable[[Scores], str]:
    def text(scores: Scores) -> str:
        counts = f"{scores[f'{prefix}_{name}_fooled']:.0f} of {scores[f'{prefix}_{name}_eligible']:.0f}"
        return f"{_interval(f'{prefix}_{name}', '.1f')(scores)}\n{counts}"

    return text


def _lines(settings: Settings) -> list[_Line | str]:
    """The comparison from top to bottom; a string is a heading of its own."""
    lines: list[_Line | str] = [
        f"error: {settings.samples:,} operand pairs uniform in [0, 1] (95 % interval)",
        _Line("NMED (P_max = 1)", _interval("nmed", SIGNIFICANT)),
        _Line("MRED", _interval("mred", SIGNIFICANT)),
        _Line("larger than exact, %", _plain("larger", ".2f")),
        f"cost: {cost_note()}; / exact: over the exact ripple array of the same width",
        _Line("transistors as drawn", _plain("transistors", SIGNIFICANT)),
    ]
    for name, unit in (("energy", "fJ"), ("delay", "ps"), ("area", "um^2")):
        lines += [
            _Line(f"{name}, {unit}", _plain(name, SIGNIFICANT)),
            _Line("  / exact", _plain(f"{name}_to_exact", SIGNIFICANT)),
            _Line("  / exact, own topology", _plain(f"{name}_to_own_topology", SIGNIFICANT)),
        ]
    lines += [
        f"accuracy: {settings.model}, {settings.images:,} {settings.dataset} test images (95 % interval)",
        _Line("accuracy, %", _interval("accuracy", ".2f")),
        _Line("loss against exact, pp", _plain("accuracy_loss", ".2f")),
        _Line(
            "images lost / gained",
            lambda scores: f"{scores['images_lost']:.0f} / {scores['images_gained']:.0f}",
        ),
        "transfer: stored examples that fool the exact network and also this one, % (95 % interval)",
        *(_Line(name, _transfer("transfer", name)) for name in settings.examples),
        f"transfer at margin: the same with perturbations {settings.margin:g} times as large",
        *(_Line(name, _transfer("margin", name)) for name in settings.examples),
        f"adaptive attack: the first {settings.attack_images} test images, white-box PGD on the logit margin, Linf "
        f"{settings.attack_epsilon:g}, {settings.attack_steps} steps, {settings.attack_restarts} starts, every "
        "gradient that the design has",
        _Line("accuracy under attack, %", _interval("adaptive_robustness", ".1f")),
    ]
    return lines


def _print_table(rows: Sequence[Row], settings: Settings) -> None:
    made = table("", *(row.name for row in rows))
    for key, texts in side_by_side([row.design.describe() for row in rows]).items():
        made.add_row(key, *(text.replace("; ", "\n") for text in texts))
    notes = []
    for line in _lines(settings):
        if isinstance(line, str):
            made.add_section()
            title, _, what = line.partition(": ")
            made.add_row(title.upper(), *[""] * len(rows))
            notes.append(f"{title}: {what}.")
        else:
            # "energy, fJ", "delay, ps", "area, um^2": the lines that an estimate of a cell enters.
            mark = line.heading.split(",")[0] in COSTS
            made.add_row(
                line.heading,
                *(f"~{line.text(row.scores)}" if mark and row.estimated else line.text(row.scores) for row in rows),
            )
    screen = console()
    screen.print(made)
    screen.print()
    for note in (*notes, *(f"{text}." for text in [estimates_note(rows)] if text)):
        screen.print(note)


def _data(row: Row) -> dict[str, Any]:
    units = {column.name: column.unit for scorer in SCORERS.values() for column in scorer.columns}
    return {**row_data(row), "units": units}


def register(commands: Commands) -> None:
    """Adds the command."""
    default = Settings()
    parser = commands.add_parser(
        "compare",
        help="error, cost, accuracy and transfer, side by side",
        description="Prints designs side by side: definition, error, cost, accuracy and transfer.",
    )
    parser.add_argument(
        "designs",
        nargs="+",
        metavar="DESIGN",
        help=f"named design ({', '.join(NAMED)}), CELL_array for a ripple array of one cell, or a .toml file",
    )
    add_cells(parser)
    parser.add_argument(
        "--images",
        type=integer(1, EMBEDDED_IMAGES),
        default=default.images,
        help=f"test images for accuracy, at most {EMBEDDED_IMAGES}",
    )
    add_workers(parser)
    add_format(parser)
    parser.set_defaults(run=run)


def main(argv: Sequence[str] | None = None) -> int:
    """The command as a program of its own; returns the exit status."""
    return run_alone(argv, register, prog="python -m dse.compare")


def run(arguments: argparse.Namespace) -> int:
    """Scores the designs and prints them side by side."""
    cells = user_cells(arguments)
    designs = find_designs(arguments.designs, cells)
    settings = Settings(images=arguments.images)
    rows = compare(designs, settings=settings, workers=arguments.workers or available_cpus(), progress=True)
    if arguments.format == "json":
        print_json([_data(row) for row in rows])
    elif arguments.format == "csv":
        columns = [column for scorer in SCORERS.values() for column in scorer.columns]
        names = ["design", "digest", *(column.header for column in columns), "estimated"]
        print_csv(
            names,
            [
                {
                    "design": row.name,
                    "digest": row.design.digest,
                    **{c.header: None if math.isnan(row.scores[c.name]) else row.scores[c.name] for c in columns},
                    "estimated": " ".join(row.estimated),
                }
                for row in rows
            ],
        )
    else:
        _print_table(rows, settings)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
