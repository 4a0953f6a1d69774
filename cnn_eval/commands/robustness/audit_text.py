"""An audit's report as text."""

from __future__ import annotations

import textwrap

from circuits.support.cli import console, say, table
from cnn_eval.audit.audit_report import AuditReport
from cnn_eval.commands.output import span

_WIDTH = 110
_MARKS = {True: "ok", False: "look", None: "-"}


def print_report(report: AuditReport) -> None:
    """Prints a report: attacks, transfer, checks, verdict."""
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
        f"rates of the {report.eligible} that both networks classify correctly"
    )
    say(f"{_hanging('', heading, width)}\n")
    columns = ("fooled %", "95 % (Wilson)", "exact %")
    attacks = table("attack", "gradient", *columns, keys=2, right=columns)
    for result in report.attacks:
        name = f"{result.name} (crafted on exact)" if result.kind == "transfer" else result.name
        exact = "" if result.fooled_exact is None else f"{100 * result.fooled_exact / result.eligible:.0f}"
        gradient = "" if result.kind == "transfer" else result.gradient
        attacks.add_row(name, gradient, f"{100 * result.rate:.0f}", span(result.interval, digits=0), exact)
    output.print(attacks)
    print()
    rate_columns = ("at the boundary %", "with a margin %")
    transfers = table("transfer from exact", *rate_columns, "examples at the boundary", right=rate_columns)
    for pair in report.transfers:
        rates = ("" if rate is None else f"{100 * rate:.0f}" for rate in (pair.minimum_rate, pair.margin_rate))
        transfers.add_row(pair.name, *rates, ", ".join(f"{k} {v}" for k, v in pair.destinations.items()))
    output.print(transfers)
    print("\nchecks")
    for check in report.checks:
        threshold = f" [{check.threshold}]" if check.threshold else ""
        say(_hanging(f"{_MARKS[check.passed]:5}", f"{check.name}: {check.found}{threshold}", width))
        say(_hanging("     ", f"why: {check.why}", width))
    say(f"\n{_hanging('', report.sentence, width)}")


def _hanging(mark: str, text: str, width: int) -> str:
    return textwrap.fill(text, width, initial_indent=mark, subsequent_indent=" " * len(mark))
