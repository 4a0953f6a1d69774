"""`audit`: whether designs resist attacks better than the exact network, and whether that can be believed."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import get_args

import torch

from circuits.support.cli import console, integer, say, table
from cnn_eval.attacks.attack_modes import BallNorm
from cnn_eval.audit.adaptive_attacks import require_libraries
from cnn_eval.audit.audit_reference import Reference
from cnn_eval.audit.audit_report import AuditReport
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.auditing import check_eligible, run_audit
from cnn_eval.audit.victim import design_victim
from cnn_eval.commands.common import (
    DEFAULT_BUDGETS,
    add_common,
    chosen_budget,
    identity,
    note_unreplaced,
    print_results,
    span,
    subjects,
)
from cnn_eval.layers.product_kinds import BACKWARD
from cnn_eval.measure.network_accuracy import base_network, load_test_images, sample_count
from cnn_eval.models.registry import MODELS
from cnn_eval.models.user_model import check_model
from cnn_eval.support.seeds import MAX_SEED

SUMMARY = "whether designs resist attacks better than the exact network, and whether that can be believed"
SAMPLES = 100
_WIDTH = 110
_MARKS = {True: "ok", False: "look", None: "-"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    networks = f"network: {', '.join(MODELS)}, or package.module:factory of your own"
    add_common(parser, networks, computing="--compute", samples=SAMPLES)
    parser.set_defaults(compute=None)
    parser.add_argument("--norm", choices=get_args(BallNorm), default="linf", help="of the budget")
    parser.add_argument("--epsilon", type=float, help=f"the budget, on pixels in [0, 1] (default: {DEFAULT_BUDGETS})")
    parser.add_argument("--backward", choices=BACKWARD, default=BACKWARD[0], help="the design's native gradient")
    parser.add_argument("--seed", type=integer(0, MAX_SEED), default=0, help="of the images' order and the attacks")
    parser.add_argument("--weights", type=Path, help="safetensors, or .pt with weights only (default: the model's)")
    parser.add_argument(
        "--data",
        default="embedded",
        metavar="embedded|full|FILE",
        help="test images: embedded subset, full set, or a .safetensors file with images in [0, 1] and labels",
    )
    parser.add_argument("--folder", type=Path, help="where the full data set lies (default: the user's cache)")


def run(arguments: argparse.Namespace) -> int:
    """Prints a report a design: attacks, checks, verdict."""
    AuditSettings(norm=arguments.norm, epsilon=arguments.epsilon, seed=arguments.seed)  # checked before any work
    chosen = subjects(arguments)
    require_libraries()
    base = base_network(arguments.model, arguments.weights)
    how = {"layers": arguments.layers, "backward": arguments.backward, "compute": arguments.compute or "auto"}
    for subject in chosen:  # all are tried before the first attack
        design_victim(base, subject, **how)
    images, labels = load_test_images(model=arguments.model, data=arguments.data, folder=arguments.folder, unit=True)
    count = sample_count(arguments.samples, len(images), "test images")
    check_model(base, images, labels)
    left = note_unreplaced(base, arguments.layers, images)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(arguments.seed))[:count]
    epsilon, reason = chosen_budget(arguments, arguments.norm, images)
    settings = AuditSettings(norm=arguments.norm, epsilon=epsilon, seed=arguments.seed)
    reference = Reference(base, images[order], labels[order], settings)
    for subject in chosen:
        check_eligible(subject, reference, layers=arguments.layers, backward=arguments.backward)
    if not arguments.json:
        console(plain_width=_WIDTH).print(f"{arguments.norm} budget {epsilon:.3g}: {reason}\n")
    rows = []
    for k, subject in enumerate(chosen):
        report = run_audit(
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
        return print_results(
            arguments, rows, {"epsilon": epsilon, "epsilon_reason": reason, "unreplaced": left}, keys=own
        )
    return 0


def show(report: AuditReport) -> None:
    """The report as text: attacks, transfer, checks, verdict."""
    settings = report.settings
    how = {
        "gate": "attacked and judged gate by gate",
        "lowered": "attacked on lowered products, judged gate by gate",
        "as given": "attacked as given",
    }[report.mode]
    output = console(plain_width=_WIDTH)
    width = min(_WIDTH, output.width)
    heading = (
        f"{report.subject}: audit of {report.images} images, {settings['norm']} budget {settings['epsilon']:g}, {how}; "
        f"rates of the {report.eligible} that both networks classify rightly"
    )
    say(f"{_hanging('', heading, width)}\n")
    columns = ("fooled %", "95 % (Wilson)", "exact %")
    printed = table("attack", "gradient", *columns, keys=2, right=columns)
    for found in report.attacks:
        name = f"{found.name} (crafted on exact)" if found.kind == "transfer" else found.name
        exact = "" if found.fooled_exact is None else f"{100 * found.fooled_exact / found.eligible:.0f}"
        gradient = "" if found.kind == "transfer" else found.gradient
        printed.add_row(name, gradient, f"{100 * found.rate:.0f}", span(found.interval, digits=0), exact)
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
        say(_hanging(f"{_MARKS[check.passed]:5}", f"{check.name}: {check.found}{threshold}", width))
        say(_hanging("     ", f"why: {check.why}", width))
    say(f"\n{_hanging('', report.sentence, width)}")


def _hanging(mark: str, text: str, width: int) -> str:
    return textwrap.fill(text, width, initial_indent=mark, subsequent_indent=" " * len(mark))
