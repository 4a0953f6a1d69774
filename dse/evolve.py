"""Evolution, `python -m dse.evolve`: from an exact multiplier to cheap ones under error limits, gate by gate.

The same command continues a killed evolution and ends with the same circuits, on any number of workers.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from circuits.cells.adder_cells import load_cells
from circuits.errors import DesignError
from circuits.exchange.design_files import find_design
from circuits.support.cli import Commands, console, integer, run_alone, say, table
from circuits.support.files import require_writable
from circuits.support.options import add_cells, add_cpu_features, add_out, add_seed, add_workers
from circuits.support.progress import progress_bars
from dse.evolution.error_limits import TERMS
from dse.evolution.evolution_run import EvolutionOptions, check_design, evolve
from dse.evolution.target_names import targets_of
from dse.score.executor import available_cpus

__all__ = ["main", "register", "run"]

OBJECTIVES = ("area", "energy", "delay")


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "evolve",
        help="evolve cheap circuits under error limits",
        description="Evolves a multiplier gate by gate towards less energy, area or delay under error limits; the same "
        "command continues a killed run. All pairs of operands of at most 20 bits together count in every evaluation, "
        "a sample beyond; results of at most 24 bits are verified on all pairs.",
    )
    parser.add_argument(
        "design",
        metavar="SEED_DESIGN",
        help="integer multiplier to start from: a named design or a .toml file; or the word library, for all circuits "
        "of the committed library",
    )
    add_cells(parser)
    parser.add_argument(
        "--error",
        action="append",
        metavar="NAME<=NUMBER",
        help=f"error limit, for any of {', '.join(TERMS)}; repeatable, all limits hold together",
    )
    parser.add_argument(
        "--sweep",
        action="append",
        metavar="NAME=LOW:HIGH:COUNT",
        help="one circuit for each of COUNT limits from LOW to HIGH, evenly spaced on a logarithmic scale, or for a "
        "list NAME=A,B,...; repeatable; other limits hold beside them (default: none)",
    )
    parser.add_argument(
        "--minimise", choices=OBJECTIVES, default="energy", help="what the circuits should have least of"
    )
    parser.add_argument(
        "--evaluations", type=integer(1, 10**12), default=4_000_000, help="circuits to try for each set of limits"
    )
    parser.add_argument("--restarts", type=integer(1, 1000), default=3, help="independent walks before the last one")
    parser.add_argument(
        "--operand-weights",
        type=Path,
        metavar="FILE",
        help=".npy or .csv file with how often operand codes occur: joint [2^w, 2^v], or [2, 2^w] or [2^w] for each "
        "operand alone (default: all alike)",
    )
    add_seed(parser, 2**32 - 1, help="seed of the evolution")
    add_workers(parser)
    add_cpu_features(parser)
    add_out(parser, "DIR", required=True, help="folder for checkpoints, circuits, front, plots and report")
    parser.add_argument(
        "--into",
        type=Path,
        metavar="FOLDER",
        help="also put the circuits, as .toml, into this folder (such as circuits/library) where they are new there or "
        "better than those of the same names (default: none)",
    )
    parser.add_argument("--fresh", action="store_true", help="start over (default: continue what the folder holds)")
    parser.set_defaults(run=run)


def main(argv: Sequence[str] | None = None) -> int:
    """The command as a program of its own; returns the exit status."""
    return run_alone(argv, register, prog="python -m dse.evolve")


def run(arguments: argparse.Namespace) -> int:
    """Evolves, and writes and prints the results."""
    began = time.monotonic()
    options = _options(arguments)
    workers = arguments.workers or available_cpus()
    command = f"python -m dse.evolve {shlex.join(word for word in arguments.argv if word != '--fresh')}"
    if arguments.into is not None:
        require_writable(arguments.into)
    print(
        f"{len(options.targets)} sets of limits, {options.evaluations:,} circuits each, seed {options.seed}", flush=True
    )
    with progress_bars() as bars:
        bar = bars.add_task("walks", total=None)
        results = evolve(
            options,
            arguments.out,
            workers=workers,
            fresh=arguments.fresh,
            done=lambda finished, walks: bars.update(bar, completed=finished, total=walks),
        )
    from dse.evolution.evolution_report import update_library, write_results
    from dse.evolution.evolved_circuits import evolved_circuit, summary

    circuits = [
        evolved_circuit(target.name, walk, target.design, target.limits, options.weights)
        for target, walk in zip(options.targets, results, strict=True)
    ]
    names = write_results(arguments.out, options, circuits, command)
    listing = table(
        "circuit", "limits", "nmed", "worst case", "mred", "energy [fJ]", "delay [ps]", "area [um^2]", "verified"
    )
    for circuit in circuits:
        numbers = summary(circuit)
        listing.add_row(
            str(circuit.design.name),
            circuit.limits.text,
            *(f"{numbers[column]:.4g}" for column in ("nmed", "worst_case", "mred", "energy", "delay", "area")),
            circuit.verdict,
        )
    out = console()
    out.print(listing)
    out.print(f"Written to {arguments.out}: {', '.join(names)}.")
    out.print(f"{time.monotonic() - began:.1f} s, {workers} workers.")
    if arguments.into is not None:
        written, replaced = update_library(arguments.into, options, circuits, command)
        out.print(f"Into {arguments.into}: {written} circuits, {replaced} of them in place of others.")
    if not all(circuit.within for circuit in circuits):
        say("note: a circuit exceeds its limits on pairs that the sample did not hold; tighten them", file=sys.stderr)
        return 1
    return 0


def _options(arguments: argparse.Namespace) -> EvolutionOptions:
    if arguments.design == "library":
        from dse.evolution.library_recipe import library_targets

        if arguments.error or arguments.sweep or arguments.operand_weights:
            raise DesignError(
                "the library has its own limits, but got --error, --sweep or --operand-weights; drop them."
            )
        targets = library_targets()
        weights = None
    else:
        cells = None if arguments.cells is None else load_cells(arguments.cells)
        design = find_design(arguments.design, cells)
        check_design(design)
        from dse.evolution.operand_weights import load_weights

        weights = None if arguments.operand_weights is None else load_weights(arguments.operand_weights, design.shape)
        targets = targets_of(design, arguments.error or (), arguments.sweep or ())
    return EvolutionOptions(
        targets, arguments.minimise, arguments.evaluations, arguments.restarts, arguments.seed, weights
    )


if __name__ == "__main__":
    raise SystemExit(main())
