"""`audit`: whether designs resist attacks better than the exact network, and whether that can be believed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from circuits.support.cli import Commands, console, say
from circuits.support.options import add_seed
from cnn_eval.choices import BACKWARD, BALL_NORMS, DEFAULT_BUDGETS, MAXIMUM_SEED
from cnn_eval.commands.network_options import (
    add_backward,
    add_compute_options,
    add_data_options,
    add_designs,
    add_integer_options,
    add_network_options,
    add_samples,
)
from cnn_eval.commands.output import print_results
from cnn_eval.commands.robustness.page_options import add_page_options, check_page_options

SAMPLES = 100
_WIDTH = 110


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "audit",
        help="whether designs resist attacks, and whether that can be believed",
        description="Attacks the network through each design adaptively and reports whether it resists better than the "
        "exact network, and whether that can be believed.",
    )
    add_designs(parser)
    add_network_options(parser)
    parser.add_argument("--norm", choices=BALL_NORMS, default=BALL_NORMS[0], help="norm of the budget")
    parser.add_argument("--epsilon", type=float, help=f"budget, on pixels in [0, 1] (default: {DEFAULT_BUDGETS})")
    add_backward(parser)
    add_seed(parser, MAXIMUM_SEED, help="seed of the images' order and of the attacks")
    add_page_options(parser)
    add_data_options(parser, unit=True)
    add_samples(parser, default=SAMPLES)
    add_integer_options(parser)
    add_compute_options(parser, renamed=False)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one report for each design: attacks, checks, verdict."""
    import torch

    from circuits.support.processor import chosen_device
    from cnn_eval.audit.adaptive_attacks import require_libraries
    from cnn_eval.audit.attack_log import AttackLog
    from cnn_eval.audit.audit_reference import Reference
    from cnn_eval.audit.audit_settings import AuditSettings
    from cnn_eval.audit.auditing import check_eligible, run_audit
    from cnn_eval.audit.victim import design_victim
    from cnn_eval.commands.network_subjects import (
        chosen_budget,
        given_images,
        identity,
        integer_settings,
        subject_networks,
        subjects,
    )
    from cnn_eval.commands.robustness.audit_page import Audited, audit_page, keep_audits
    from cnn_eval.commands.robustness.audit_text import print_report

    backward = arguments.backward = arguments.backward or BACKWARD[0]
    AuditSettings(norm=arguments.norm, epsilon=arguments.epsilon, seed=arguments.seed)  # checked before any work
    check_page_options(arguments)
    chosen = subjects(arguments)
    require_libraries()
    networks = subject_networks(arguments)
    base = networks.common_exact(chosen)
    # The lowered form, which "auto" attacks through on the CPU, is not served on a device; its gates are fast.
    compute = "gate" if chosen_device() != "cpu" and arguments.compute == "auto" else arguments.compute
    how = {"layers": arguments.layers, "backward": backward, "compute": compute}
    for subject in chosen:  # all are tried before the first attack
        design_victim(base, subject, **how)
    # A design's network is built by the audit itself, unless there is more to it than the design.
    prepared = {
        k: networks.through(subject, backward=backward)
        for k, subject in enumerate(chosen)
        if not networks.is_only_the_design
    }
    images, labels, count, left = given_images(arguments, base, unit=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(arguments.seed))[:count]
    epsilon, reason = chosen_budget(arguments, arguments.norm, images)
    settings = AuditSettings(norm=arguments.norm, epsilon=epsilon, seed=arguments.seed)
    reference = Reference(base, images[order], labels[order], settings)
    for k, subject in enumerate(chosen):
        check_eligible(prepared.get(k, subject), reference, layers=arguments.layers, backward=backward)
    if arguments.format == "table":
        console(plain_width=_WIDTH).print(f"{arguments.norm} budget {epsilon:.3g}: {reason}\n")
    rows: list[dict[str, Any]] = []
    audits: list[Audited] = []
    logs: list[AttackLog] = []
    for k, subject in enumerate(chosen):
        report = run_audit(
            prepared.get(k, subject),
            base,
            images[order],
            labels[order],
            settings=settings,
            reference=reference,
            progress=True,
            name=identity(subject)["design"],
            keep=logs.append,
            **how,
        )
        audits.append(Audited(report, logs[-1]))
        if arguments.format != "table":
            row = {**identity(subject), **report.to_dict()}
            rows += [row] if arguments.format == "json" else _attack_rows(row)
            continue
        if k:
            print()
        print_report(report)
    if arguments.report is not None:
        audit_page(arguments, audits, (epsilon, reason))
        say(f"note: page in {arguments.report}", file=sys.stderr)
    if arguments.save is not None:
        keep_audits(arguments, audits, images[order], labels[order])
        say(f"note: examples in {arguments.save}", file=sys.stderr)
    if arguments.format != "table":
        own = ("model", "layers", "samples", "norm", "backward", "seed", "data")
        return print_results(
            arguments,
            rows,
            {
                "epsilon": epsilon,
                "epsilon_reason": reason,
                **integer_settings(arguments),
                "unreplaced": left,
            },
            keys=own,
        )
    return 0


def _attack_rows(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """One row of CSV for each attack of a report: the report's numbers, then the attack's as attack_NAME."""
    general = {key: value for key, value in report.items() if not isinstance(value, list)}
    for attack in report["attacks"]:
        yield {**general, **{f"attack_{key}": value for key, value in attack.items()}}
