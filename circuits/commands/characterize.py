"""`characterize`: cells and gates at transistor level, by ngspice, or a subcircuit of your own."""

from __future__ import annotations

import argparse
from pathlib import Path

from circuits.errors import DesignError
from circuits.support.cli import Commands
from circuits.support.files import write_atomically
from circuits.support.options import add_out


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "characterize",
        help="measure cells at transistor level with ngspice",
        description="Simulates cells and gates at transistor level with ngspice and writes the 45 nm table of the cost "
        "model, or characterises a subcircuit of your own and writes it as a cell.",
    )
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder with the transistor models")
    parser.add_argument(
        "--cell", type=Path, metavar="FILE.sp", help="SPICE subcircuit to characterise (default: the whole library)"
    )
    parser.add_argument(
        "--networks",
        action="store_true",
        help="write the table of smallest gate networks, from the areas of the gates; needs no models",
    )
    add_out(parser, help="file to write (default: the package's table; with --cell, standard output)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measures and writes."""
    if arguments.networks:
        from circuits.cost.characterize import gate_networks

        write_atomically(arguments.out or gate_networks.TABLE, gate_networks.table_text().encode())
        return 0
    if arguments.models is None:
        raise DesignError(
            "--models must name the folder with the transistor models, but is missing; give --models DIR."
        )
    from circuits.cost.characterize.characterization import characterise, dumps, require_models

    require_models(arguments.models)
    if arguments.cell is not None:
        from circuits.cost.characterize import spice
        from circuits.cost.characterize.subcircuit import to_toml

        text = to_toml(arguments.cell, spice.model_files(arguments.models, "nom"))
        if arguments.out is None:
            print(text, end="")
        else:
            write_atomically(arguments.out, text.encode())
        return 0
    from circuits.cost.cells45 import TABLE

    write_atomically(arguments.out or TABLE, (dumps(characterise(arguments.models)) + "\n").encode())
    return 0
