"""`attack`: networks through designs under attack, beside the exact network and the control."""

from __future__ import annotations

import argparse
from pathlib import Path

from circuits.support.cli import Commands, deprecated_option, integer
from circuits.support.options import add_seed
from cnn_eval.choices import ATTACK_MODES, ATTACKS, DEFAULT_BUDGETS, MAXIMUM_SEED, SCENARIOS, SUBSTITUTE_ROUNDS
from cnn_eval.commands.network_options import (
    add_backward,
    add_cache,
    add_compute_options,
    add_data_options,
    add_designs,
    add_integer_options,
    add_network_options,
    add_samples,
)
from cnn_eval.commands.robustness.page_options import add_page_options

SAMPLES = 100


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "attack",
        help="share of samples on which attacks fool each design",
        description="Attacks the networks through designs, beside the exact network and the control, and measures the "
        "share of samples on which each of them is fooled.",
    )
    add_designs(parser)
    add_network_options(parser)
    parser.add_argument("--attacks", nargs="+", required=True, metavar="NAME", help=f"any of {', '.join(ATTACKS)}")
    deprecated_option(parser, "--attack", "--attacks")
    parser.add_argument(
        "--scenario",
        choices=SCENARIOS,
        default=SCENARIOS[0],
        help="examples are crafted on the exact network, on a substitute that queries the victim, or on the victim",
    )
    parser.add_argument(
        "--mode",
        choices=ATTACK_MODES,
        default=ATTACK_MODES[0],
        help="minimum-norm: the smallest perturbation that fools; or fixed-budget: within --epsilon",
    )
    parser.add_argument(
        "--epsilon",
        type=float,
        help=f"budget, in the attacks' norm on pixels in [0, 1] (default in --mode budget: {DEFAULT_BUDGETS})",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="hyperparameters",
        help="hyperparameter of the attacks, or ATTACK.KEY=VALUE for one of them; repeatable",
    )
    add_backward(parser)
    add_seed(parser, MAXIMUM_SEED, help="seed of attacks with random choices, and of substitutes")
    parser.add_argument(
        "--rounds",
        type=integer(0, 10),
        metavar="N",
        default=SUBSTITUTE_ROUNDS,
        help="times that the substitute's training set is doubled",
    )
    add_data_options(parser, unit=True)
    add_cache(parser)
    parser.add_argument(
        "--grid", type=Path, metavar="FILE.png", help="draw clean, adversarial and difference images (default: none)"
    )
    add_page_options(parser)
    add_samples(parser, default=SAMPLES)
    add_integer_options(parser)
    add_compute_options(parser, renamed=False)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each design and attack, their noise, and the networks' differences pair by pair."""
    from cnn_eval.commands.robustness.attack_run import run_attacks

    return run_attacks(arguments)
