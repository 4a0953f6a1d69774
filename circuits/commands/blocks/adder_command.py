"""`adder`: errors and cost of stand-alone adders, generated or read from a file; alone or behind a multiplier."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from circuits.accuracy.error_types import ErrorMetrics
from circuits.adders.adder_cost import AdderCost, MacCost, adder_cost, mac_cost
from circuits.adders.adder_errors import adder_errors
from circuits.adders.adder_kinds import ADDERS
from circuits.adders.stand_alone import MAXIMUM_WIDTH, AdderDesign, adder
from circuits.commands.error_table import SIDE_BY_SIDE, cost_heading, plain_number, print_errors, tidy_errors
from circuits.commands.operands import add_cost_samples, add_pairs
from circuits.cost.cost_model import LEFT_OUT, UNITS
from circuits.errors import DesignError
from circuits.exchange.design_files import find_design
from circuits.exchange.design_options import DESIGN_HELP
from circuits.hdl.reading import MAXIMUM_BYTES, read_circuit
from circuits.hdl.verilog_out import to_verilog
from circuits.support.cli import Commands, console, integer, print_csv, print_json, say, table
from circuits.support.files import read_bytes, write_atomically
from circuits.support.options import add_format, add_out, add_seed

_FILES = (".v", ".sv", ".blif")


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "adder",
        help="error metrics and cost of an adder, alone or as accumulator of a multiplier",
        description="Prints error metrics against x + y and the cost of adders, beside the exact ripple-carry adder; "
        "with --multiplier also the energy of both together.",
    )
    parser.add_argument(
        "adders",
        nargs="+",
        metavar="ADDER",
        help=f"a kind ({', '.join(ADDERS)}), also with options, 'loa(lower=4)', or a Verilog or BLIF file",
    )
    parser.add_argument(
        "--width", type=integer(1, MAXIMUM_WIDTH), default=16, help="bits of an operand of a generated adder"
    )
    parser.add_argument(
        "--option",
        action="append",
        metavar="NAME=VALUE",
        help="option of the kinds named, may be repeated: lower=8 (default: those of the kind)",
    )
    add_pairs(parser, all_of="up to 10 bits")
    add_cost_samples(parser)
    parser.add_argument(
        "--multiplier", metavar="DESIGN", help=f"multiplier in front of it: {DESIGN_HELP} (default: none)"
    )
    parser.add_argument(
        "--depth", type=integer(1, 1 << 20), default=64, help="with --multiplier: products that are added up"
    )
    add_seed(parser, help="seed of the operands")
    add_out(parser, help="Verilog to write of a single adder, .v (default: no file is written)")
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the adders."""
    options = dict(_option(text) for text in arguments.option or ())
    adders = [_adder(text, arguments.width, options) for text in arguments.adders]
    if arguments.out is not None:
        if len(adders) > 1 or arguments.out.suffix != ".v":
            raise DesignError("-o must name a .v file for a single adder; give one adder, or leave -o out.")
        write_atomically(arguments.out, to_verilog(adders[0].netlist).encode())
        say(f"{arguments.out}: {adders[0].name}")
    multiplier = None if arguments.multiplier is None else find_design(arguments.multiplier)
    results = []
    for entry in adders:
        errors = adder_errors(entry, samples=arguments.samples, seed=arguments.seed, method=arguments.method)
        cost = adder_cost(entry, samples=arguments.cost_samples, seed=arguments.seed)
        both = None
        if multiplier is not None:
            both = mac_cost(
                multiplier, entry, depth=arguments.depth, samples=arguments.cost_samples, seed=arguments.seed
            )
        results.append((entry, errors, cost, both))
    if arguments.format == "json":
        print_json({"adders": [_record(*result) for result in results]})
    elif arguments.format == "csv":
        rows = [row for result in results for row in _tidy(*result)]
        print_csv(["adder", "group", "quantity", "value", "low", "high", "unit"], rows)
    else:
        for start in range(0, len(results), SIDE_BY_SIDE):
            _print_tables(results[start : start + SIDE_BY_SIDE])
    return 0


def _option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise DesignError(f"--option must be NAME=VALUE, but got {text!r}; write --option lower=8, say.")
    return name, int(value) if value.lstrip("-").isdecimal() else value


def _adder(text: str, width: int, options: dict[str, Any]) -> AdderDesign:
    if not text.endswith(_FILES):
        return adder(text, width, options)
    path = Path(text)
    content = read_bytes(path, limit=MAXIMUM_BYTES, what="a Verilog or BLIF file").decode("utf-8", errors="replace")
    netlist = read_circuit([(text, content)]).netlist
    return AdderDesign(netlist, netlist.name)


Result = tuple[AdderDesign, ErrorMetrics, AdderCost, MacCost | None]


def _record(entry: AdderDesign, errors: ErrorMetrics, cost: AdderCost, both: MacCost | None) -> dict[str, Any]:
    record = {
        "adder": entry.name,
        "width": entry.width,
        "digest": entry.digest,
        "errors": errors.to_dict(),
        "cost": {"drawn": cost.views.drawn.to_dict(), "simplified": cost.views.simplified.to_dict()},
        "exact": {"drawn": cost.exact.drawn.to_dict(), "simplified": cost.exact.simplified.to_dict()},
        "estimated": list(cost.estimated),
        "note": cost.conditions,
    }
    if both is not None:
        record["multiply_accumulate"] = {name: value for name, value, _ in _mac_rows(both)}
    return record


def _mac_rows(both: MacCost) -> list[tuple[str, float, str]]:
    return [
        ("energy of the multiplier", both.multiplier.energy, UNITS["energy"]),
        ("energy of the accumulator", both.accumulator.energy, UNITS["energy"]),
        ("energy of both", both.energy, UNITS["energy"]),
        ("area of both", both.area, UNITS["area"]),
        ("delay through both", both.delay, UNITS["delay"]),
        ("products a sum", both.depth, ""),
        ("share of sums not exact", both.wrapped, ""),
    ]


def _tidy(entry: AdderDesign, errors: ErrorMetrics, cost: AdderCost, both: MacCost | None) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{"adder": entry.name, "group": "errors", **row} for row in tidy_errors(errors)]
    for view in ("drawn", "simplified"):
        for name, unit in UNITS.items():
            value = cost.views.value(view, name)
            rows.append({"adder": entry.name, "group": f"cost {view}", "quantity": name, "value": value, "unit": unit})
    for name, value, unit in () if both is None else _mac_rows(both):
        rows.append(
            {"adder": entry.name, "group": "with the multiplier", "quantity": name, "value": value, "unit": unit}
        )
    return rows


def _print_tables(results: list[Result]) -> None:
    out = console()
    labels = [entry.name for entry, *_ in results]
    print_errors(out, labels, [errors for _, errors, _, _ in results], exact="sum")
    costs = [cost for _, _, cost, _ in results]
    rows = table(
        "cost at 45 nm", *(f"~{label}" if cost.estimated else label for label, cost in zip(labels, costs, strict=True))
    )
    for view, title in (("drawn", "as drawn"), ("simplified", "simplified")):
        rows.add_row(title)
        for name in UNITS:
            rows.add_row(cost_heading(name), *(plain_number(cost.views.value(view, name)) for cost in costs))
        for name in ("area", "energy", "delay"):
            rows.add_row(f"  {name} / exact", *(f"{cost.ratio(name, view):.3f}" for cost in costs))
    macs = [both for *_, both in results if both is not None]
    if macs:
        rows.add_row("with the multiplier")
        for numbers in zip(*map(_mac_rows, macs), strict=True):
            name, _, unit = numbers[0]
            rows.add_row(f"  {name}{', ' if unit else ''}{unit}", *(plain_number(value) for _, value, _ in numbers))
    out.print(rows)
    first = costs[0]
    out.print(
        f"{first.conditions}; {first.samples} operand pairs; {LEFT_OUT}. / exact: over the ripple-carry adder of the "
        "same width."
    )
