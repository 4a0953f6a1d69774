"""`run`: runs studies and prints their tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.support.cli import Commands, deprecated_option, print_text, say
from circuits.support.options import add_cpu_features, add_device, add_format, add_out, add_wire
from circuits.support.processor import chosen_device

if TYPE_CHECKING:
    from studies.frame.study import StudyOptions

OUT = Path("runs/studies")
ON_DEVICES = "throughput"
"""The study that --device is for: numbers of the others do not depend on where they are computed."""
WITH_WIRES = ("table7", "table9")
"""The studies that --wire-fF is for."""
_LEVELS = {
    "quick": "at most 90 seconds for each study on 2 cores, with embedded data",
    "full": "as large as the paper's, on fetched data",
}


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "run",
        help="run studies and print their tables",
        description="Runs studies, prints their tables and writes rows and figures.",
    )
    parser.add_argument("names", nargs="+", metavar="NAME", help="studies to run, or all")
    for level, text in _LEVELS.items():
        parser.add_argument(f"--{level}", dest="level", action="store_const", const=level, help=text)
    add_out(parser, "DIR", default=OUT, help="folder for NAME.json, .csv, .png and .svg")
    parser.add_argument(
        "--fresh", action="store_true", help="run again what --out already holds from the same code, data and level"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="folder of the full data sets (default: in the user's cache folder)"
    )
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="transistor models: cost_validation simulates again (default: none)"
    )
    add_device(parser)
    parser.add_argument(
        "--library",
        type=Path,
        metavar="DIR",
        help="copy of EvoApproxLib: library measures its files too (default: none)",
    )
    add_wire(parser)
    add_cpu_features(parser)
    add_format(parser)
    deprecated_option(parser, "--json", "--format", "json")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the studies in order; results of finished ones stay when it is interrupted."""
    _require_folders(arguments)
    from circuits.support.files import require_writable
    from studies.frame.study import LEVELS, StudyOptions
    from studies.frame.study_runs import known_names

    names = known_names(arguments.names)
    if chosen_device() != "cpu":
        if names != [ON_DEVICES]:
            raise ValueError(f"--device is for the study {ON_DEVICES}, but got {', '.join(names)}; leave it out.")
        from cnn_eval.models.devices import require_cuda

        require_cuda()
        # Beside the processor's result, which has the same name.
        arguments.out = arguments.out / chosen_device()
    if arguments.wire and not set(names) <= set(WITH_WIRES):
        raise ValueError(f"--wire-fF is for {' and '.join(WITH_WIRES)}, but got {', '.join(names)}; leave it out.")
    require_writable(arguments.out)
    options = StudyOptions(
        level=arguments.level or LEVELS[1],
        folder=arguments.folder,
        models=arguments.models,
        library=arguments.library,
        wire=arguments.wire,
    )
    try:
        _run_all(names, options, arguments)
    except KeyboardInterrupt:
        again = "; the same command runs only the others"
        if arguments.fresh:
            again = "; the same command without --fresh runs only the others"
        if arguments.models or arguments.wire:
            again = ""  # With models or wires, nothing is taken from stored results.
        raise KeyboardInterrupt(f"results of the studies that ended are in {arguments.out}{again}") from None
    return 0


def _require_folders(arguments: argparse.Namespace) -> None:
    """Before the studies are imported, which takes seconds: they look into the folders themselves."""
    for option in ("folder", "models", "library"):
        path = getattr(arguments, option)
        if path is not None and not path.is_dir():
            raise ValueError(f"--{option} must name a folder, but {path} is none; check the path.")


def _run_all(names: Sequence[str], options: StudyOptions, arguments: argparse.Namespace) -> None:
    from studies.frame import study_runs
    from studies.frame.finished_rows import FinishedRows

    for k, name in enumerate(names, 1):
        fresh = arguments.fresh or arguments.models or arguments.library or arguments.wire
        result = None if fresh else study_runs.reusable(arguments.out, name, options.level)
        if len(names) > 1:
            note = "as stored" if result else "running"
            say(f"[{k} of {len(names)}] {name}: {note}", file=sys.stderr)
        elif result:
            say(f"note: as stored in {arguments.out}; --fresh runs it again", file=sys.stderr)
        if result is None:
            finished = FinishedRows(arguments.out, name, options.level, fresh=bool(fresh))
            result = study_runs.measure(name, replace(options, part=finished.part))
            result.save(arguments.out)
            finished.remove()
        if arguments.format == "table":
            result.print()
        else:
            print_text(result.to_json() if arguments.format == "json" else result.to_csv())
            sys.stdout.flush()
