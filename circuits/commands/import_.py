"""`import`: a user's own multiplier in Verilog or BLIF, or its product table, as a design."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from circuits.designs.design_record import Design
from circuits.errors import DesignError
from circuits.exchange.design_files import table_design
from circuits.exchange.table_files import TABLE_SUFFIXES
from circuits.hdl.languages import BLIF
from circuits.hdl.reading import MAXIMUM_BYTES, Circuit, known_language, read_circuit
from circuits.hdl.synthesis import by_hand, is_installed, synthesise
from circuits.hdl.verilog.syntax.cursor import SYNTHESISE
from circuits.netlists.imported import as_multiplier, declared_signed, exchange_operands, signedness_notes
from circuits.netlists.netlist import Netlist
from circuits.netlists.recognition import FAR, Fit, Recognition, recognise
from circuits.netlists.simplification import simplify
from circuits.support.cli import Commands, console, print_csv, print_json, table
from circuits.support.files import read_bytes, write_atomically
from circuits.support.options import add_format, add_out


def register(commands: Commands) -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "import",
        help="read your own multiplier from Verilog, BLIF or a product table",
        description="Reads a multiplier from combinational Verilog (as ArithsGen, EvoApproxLib and yosys write it) or "
        "BLIF, or its product table (.npy; .bin of TFApprox; .txt of ApproxTorch; .h of AdaPT), reports what it found "
        "and writes a design that every other command takes. The first input bus, or axis, is the first operand; ports "
        "declared signed, or a negative product, make a signed design. The cost of a table is not known.",
    )
    parser.add_argument(
        "files",
        type=Path,
        metavar="FILE",
        nargs="+",
        help="Verilog or BLIF files, including the cell libraries they need, or one table",
    )
    parser.add_argument(
        "--top",
        metavar="NAME",
        help="name of the multiplier's module (default: the module that no other one instantiates)",
    )
    add_out(parser, help="design to write, .toml (default: no file is written)")
    signedness = parser.add_mutually_exclusive_group()
    signedness.add_argument(
        "--signed", action="store_true", default=None, help="operands are two's complement (default: as declared)"
    )
    signedness.add_argument(
        "--unsigned", action="store_false", dest="signed", help="operands are unsigned (default: as declared)"
    )
    parser.add_argument("--exchange", action="store_true", help="take the second input bus as the first operand")
    parser.add_argument(
        "--synthesise", action="store_true", help="let yosys turn behavioural Verilog into gates first (needs yosys)"
    )
    parser.add_argument(
        "--float",
        metavar="FORMAT",
        help="use it as the mantissa multiplier of this float format, such as float32 (default: an integer design)",
    )
    parser.add_argument("--name", help="the design's name (default: the module's)")
    add_format(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Reads, reports, writes."""
    output = arguments.out
    if output is not None and output.suffix != ".toml":
        raise DesignError(f"the design's file must end in .toml, but got {str(output)!r}; rename it.")
    circuit = _read_table(arguments) if _is_table(arguments) else _read(arguments)
    netlist = exchange_operands(circuit.netlist) if arguments.exchange else circuit.netlist
    try:
        design = _design(netlist, arguments)
    except DesignError as error:
        raise type(error)(f"{_names(arguments)}: {error}") from None
    recognition = recognise(netlist)
    notes = [*circuit.notes, *_notes(circuit, netlist, design, recognition)]
    if output is not None:
        write_atomically(output, design.to_toml().encode())
    _print(arguments, _facts(netlist, design, recognition, output), notes)
    return 0


def _design(netlist: Netlist, arguments: argparse.Namespace) -> Design:
    as_multiplier(netlist, signed=False)  # the error about ports, before the one about their signedness
    signed = declared_signed(netlist) if arguments.signed is None else arguments.signed
    if signed and arguments.float is not None:
        raise DesignError(
            "a mantissa multiplier must be unsigned, but the circuit's operands are signed; leave out --float, or give "
            "--unsigned."
        )
    return Design(circuit=netlist, format=arguments.float, signed=signed, name=arguments.name)


def _is_table(arguments: argparse.Namespace) -> bool:
    tables = [path for path in arguments.files if path.suffix.lower() in TABLE_SUFFIXES]
    if tables and (len(arguments.files) > 1 or arguments.top is not None or arguments.synthesise):
        raise DesignError(
            f"a product table must be given alone, without --top and --synthesise, but {tables[0]} is not; import "
            "it by itself."
        )
    return bool(tables)


def _read_table(arguments: argparse.Namespace) -> Circuit:
    (path,) = arguments.files
    design = table_design(path, signed=arguments.signed)
    signed = frozenset({"x", "y", "product"} if design.signed else ())
    note = "a table has no circuit: the design computes its products, but its cost is not known"
    return Circuit(replace(design.netlist(), name=str(design.name), signed=signed), BLIF, (note,))


def _names(arguments: argparse.Namespace) -> str:
    return ", ".join(map(str, arguments.files))


def _read(arguments: argparse.Namespace) -> Circuit:
    if not arguments.synthesise:
        try:
            return read_circuit([(str(path), _text(path)) for path in arguments.files], top=arguments.top)
        except DesignError as error:
            raise DesignError(str(error).replace(SYNTHESISE, _advice(arguments))) from None
    for path in arguments.files:
        if known_language(str(path), _text(path)) == BLIF:
            raise DesignError(f"--synthesise takes Verilog, but {path} is BLIF; leave the option out.")
    synthesised = synthesise(arguments.files, top=arguments.top)
    where = f"{_names(arguments)} as synthesised by yosys"
    circuit = read_circuit([(where, synthesised.text)])
    netlist = replace(circuit.netlist, signed=synthesised.signed_ports)
    return replace(circuit, netlist=netlist, notes=(f"synthesised by: {synthesised.command}", *circuit.notes))


def _advice(arguments: argparse.Namespace) -> str:
    """How to let yosys turn the files into gates, to be typed as it stands."""
    top = [] if arguments.top is None else ["--top", arguments.top]
    command = shlex.join(["python", "-m", "circuits", "import", *map(str, arguments.files), *top, "--synthesise"])
    return f"let yosys turn it into gates: {command if is_installed() else by_hand(arguments.files, arguments.top)}"


def _text(path: Path) -> str:
    return read_bytes(path, limit=MAXIMUM_BYTES, what="a Verilog or BLIF file").decode("utf-8", errors="replace")


# What is reported.


def _facts(netlist: Netlist, design: Design, recognition: Recognition, output: Path | None) -> dict[str, str]:
    (x, y), (product,) = netlist.inputs, netlist.outputs
    bits = len(netlist.outputs[product])
    return {
        "module": netlist.name,
        "x (first operand)": f"{x}, {len(netlist.inputs[x])} bits",
        "y (second operand)": f"{y}, {len(netlist.inputs[y])} bits",
        "product": f"{product}, {bits} bits{_extension(bits, design)}",
        "format": design.describe()["format"],
        "computes": _computes(recognition, design.signed),
        "cells and gates": ", ".join(f"{count} {name}" for name, count in netlist.count().items()) or "none",
        "as drawn": str(len(netlist.instances)),
        "after simplification": str(len(simplify(design.netlist()).instances)),
        "digest": design.digest,
        "written to": str(output or "no file"),
    }


def _extension(bits: int, design: Design) -> str:
    missing = sum(design.shape) - bits
    return f", extended by {missing} ({'the sign' if design.signed else 'zeros'})" if missing > 0 else ""


def _computes(recognition: Recognition, signed: bool) -> str:
    fit = recognition.other if recognition.is_other else recognition.product[signed]
    return f"{fit.function.text} {_nearness(fit, recognition)}"


def _nearness(fit: Fit, recognition: Recognition) -> str:
    sample = recognition.sample + (" (where the divisor is not 0)" if fit.function.divisor is not None else "")
    if fit.error == 0:
        return f"on {sample}"
    return f"with a mean difference of {100 * fit.error:.3g} % of its mean, on {sample}"


def _notes(circuit: Circuit, netlist: Netlist, design: Design, recognition: Recognition) -> list[str]:
    """What a user may not expect; [] for an ordinary multiplier."""
    notes = []
    if circuit.language != BLIF:  # BLIF cannot declare signedness
        notes += signedness_notes(netlist, signed=design.signed)
    if recognition.is_other:
        fit = recognition.other
        notes.append(
            f"this is {fit.function.circuit}, no multiplier: it computes {fit.function.text} "
            f"{_nearness(fit, recognition)}; errors that other commands print are against x * y{_adder_advice(fit)}"
        )
        return notes
    notes += _width_notes(netlist, design, recognition.product[design.signed])
    fit = recognition.product[design.signed]
    better = recognition.better_signedness(design.signed)
    if better is not None:
        words = ("unsigned", "signed")
        notes.append(
            f"read as {words[design.signed]} it is far from a product ({100 * fit.error:.3g} % mean difference), as "
            f"{words[better]} near one ({100 * recognition.product[better].error:.3g} %): --{words[better]} is "
            "probably meant"
        )
    elif fit.error >= FAR:
        notes.append(
            f"it is far from a product ({100 * fit.error:.3g} % mean difference): check signedness, order of bits and "
            "which buses are the operands"
        )
    return notes


def _adder_advice(fit: Fit) -> str:
    """Where an adder's errors are printed; nothing for other circuits."""
    return ", those of `python -m circuits adder FILE` against x + y" if fit.function.text == "x + y" else ""


def _width_notes(netlist: Netlist, design: Design, fit: Fit) -> list[str]:
    ((name, bus),) = netlist.outputs.items()
    missing = sum(design.shape) - len(bus)
    if missing <= 0:
        return []
    note = (
        f"the product bus {name} has {len(bus)} bits, {missing} fewer than x * y: it is extended by "
        f"{'its sign' if design.signed else 'zeros'}"
    )
    if fit.function.text != "x * y" and fit.error < FAR:
        return [f"{note}, though it holds the highest bits, so that every result is x * y / 2^{missing}; append 0 bits"]
    if fit.error == 0:
        return [f"{note}, so that every result is x * y modulo 2^{len(bus)}"]
    return [note]


def _print(arguments: argparse.Namespace, facts: Mapping[str, str], notes: list[str]) -> None:
    if arguments.format == "json":
        print_json({**facts, "notes": notes})
    elif arguments.format == "csv":
        print_csv([*facts, "notes"], [{**facts, "notes": "; ".join(notes)}])
    else:
        summary = table("found", _names(arguments))
        for key, value in facts.items():
            summary.add_row(key, value)
        console().print(summary)
        for note in notes:
            console().print(f"note: {note}.", soft_wrap=True)
