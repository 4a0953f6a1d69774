"""`list`: the studies, one line each."""

from __future__ import annotations

import argparse

from circuits.support.cli import Commands
from studies import STUDIES


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser("list", help="list the studies", description="Lists the studies, one line each.")
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Prints name, title and source of every study."""
    from studies.frame.study_runs import module_of

    for name in STUDIES:
        module = module_of(name)
        print(f"{name:16} {module.TITLE} ({module.SOURCE})")
    return 0
