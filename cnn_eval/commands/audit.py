"""`audit`: whether designs resist attacks better than the exact network, and whether that can be believed."""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path
from typing import get_args

import torch

from circuits.cli import console, integer, table
from cnn_eval.accuracy import base_network, load_test_images, sample_count
from cnn_eval.audit import EPSILON, AuditReport, AuditSettings, Reference, audit
from cnn_eval.audit.attacks import BallNorm
from cnn_eval.audit.networks import design_contestant
from cnn_eval.commands.common import add_common, identity, print_results, span, subjects
from cnn_eval.layers import BACKWARD, unreplaced
from cnn_eval.models import MAX_SEED, MODELS

SUMMARY = "whether designs resist attacks better than the exact network, and whether that can be believed"
SAMPLES = 100
_WIDTH = 110
_MARKS = {True: "ok", False: "look", None: "-"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    networks = f"network: {', '.join(MODELS)}, or package.module:factory of your own"
    add_common(parser, networks, computing="--compute", samples=SAMPLES)
    parser.set_defaults(compute=None)
    budgets = ", ".join(f"{epsilon:g} ({norm})" for norm, epsilon in EPSILON.items())
    parser.add_argument("--norm", choices=get_args(BallNorm), default="linf", help="of the budget")
    parser.add_argument("--epsilon", type=float, help=f"the budget, on pixels in [0, 1] (default: {budgets})")
    parser.add_argument("--backward", choices=BACKWARD, default=BACKWARD[0], help="the design's native gradient")
    parser.add_argument("--seed", type=integer(0, MAX_SEED), default=0, help="of the images' order and the attacks")
    parser.add_argument("--weights", type=Path, help="safetensors, or .pt with weights only (default: the model's)")
    parser.add_argument(
        "--data",
        default="embedded",
        metavar="embedded|full|FILE",
        help="test images: embedded subset, full set, or a .safetensors file with images and labels",
    )
    parser.add_argument("--folder", type=Path, help="where the full data set lies (default: the user's cache)")


def run(arguments: argparse.Namespace) -> int:
    """Prints a report a design: attacks, checks, verdict."""
    settings = AuditSettings(norm=arguments.norm, epsilon=arguments.epsilon, seed=arguments.seed)
    chosen = subjects(arguments)
    base = base_network(arguments.model, arguments.weights)
    how = {"layers": arguments.layers, "backward": arguments.backward, "mode": arguments.compute or "auto"}
    for subject in chosen:  # all are tried before the first attack
        design_contestant(base, subject, **how)
    left = unreplaced(base, arguments.layers)
    if left:
        listed = ", ".join(f"{name} ({reason})" for name, reason in left.items())
        print(f"note: layers that cannot be replaced stay exact: {listed}", file=sys.stderr)
    images, labels = load_test_images(model=arguments.model, data=arguments.data, folder=arguments.folder)
    count = sample_count(arguments.samples, len(images), "test images")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(arguments.seed))[:count]
    reference = Reference(base, images[order], labels[order], settings)
    rows = []
    for k, subject in enumerate(chosen):
        report = audit(
            subject, base, images[order], labels[order], settings=settings, reference=reference, progress=True, **how
        )
        if arguments.json:
            rows.append({**identity(subject), **report.to_dict()})
            continue
        if k:
            print()
        show(report)
    if arguments.json:
        own = ("model", "layers", "samples", "norm", "backward", "seed", "data")
        return print_results(arguments, rows, {"epsilon": settings.budget}, keys=own)
    return 0


def show(report: AuditReport) -> None:
    """The report as text: attacks, transfer, checks, verdict."""
    settings = report.settings
    how = {
        "gate": "attacked and judged gate by gate",
        "lowered": "attacked on lowered products, judged gate by gate",
        "as given": "attacked as given",
    }[report.mode]
    print(
        f"{report.subject}: audit of {report.images} images, {settings['norm']} budget {settings['epsilon']:g}, {how}; "
        f"rates of the {report.eligible} that both networks classify rightly\n"
    )
    columns = ("fooled %", "95 % (Wilson)", "exact %")
    printed = table("attack", "gradient", *columns, keys=2, right=columns)
    for found in report.attacks:
        name = f"{found.name} (crafted on exact)" if found.kind == "transfer" else found.name
        exact = "" if found.fooled_exact is None else f"{100 * found.fooled_exact / found.eligible:.0f}"
        gradient = "" if found.kind == "transfer" else found.gradient
        printed.add_row(name, gradient, f"{100 * found.rate:.0f}", span(found.interval, digits=0), exact)
    output = console(plain_width=_WIDTH)
    output.print(printed)
    print()
    rates = ("at the boundary %", "with a margin %")
    printed = table("transfer from exact", *rates, "examples at the boundary", right=rates)
    for pair in report.transfers:
        shown = ("" if rate is None else f"{100 * rate:.0f}" for rate in (pair.minimum_rate, pair.margin_rate))
        printed.add_row(pair.name, *shown, ", ".join(f"{k} {v}" for k, v in pair.destinations.items()))
    output.print(printed)
    print("\nchecks")
    for check in report.checks:
        threshold = f" [{check.threshold}]" if check.threshold else ""
        print(_hanging(f"{_MARKS[check.passed]:5}", f"{check.name}: {check.found}{threshold}"))
        print(_hanging("     ", f"why: {check.why}"))
    print(f"\n{_hanging('', report.sentence)}")


def _hanging(mark: str, text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark))
