"""One protocol for all command lines: how commands register, what options and old names mean, what help imports."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import circuits.commands
import cnn_eval.commands
import dse.__main__
import studies.commands
from circuits.exchange.table_files import TABLE_FORMATS
from circuits.support.cli import Commands, Parser, deprecated_option, run_alone, run_program

ROOT = Path(__file__).parent.parent.parent
PROGRAMS: dict[str, ModuleType] = {
    "circuits": circuits.commands,
    "cnn_eval": cnn_eval.commands,
    "dse": dse.__main__,
    "studies": studies.commands,
}
HEAVY = {"torch", "numba", "pandas", "matplotlib", "seaborn", "pymoo", "foolbox", "safetensors", "jinja2"}


class Registered:
    """Collects the parsers that commands register."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.parsers: dict[str, Parser] = {}

    def add_parser(self, name: str, *, help: str, description: str) -> Parser:
        assert help
        assert description.endswith(".")
        self.parsers[name] = Parser(prog=f"python -m {self.program} {name}", description=description)
        return self.parsers[name]


def parsers() -> Iterator[tuple[str, Parser]]:
    """(command, parser) of every command of every program, and of the actions below them."""
    for program, module in PROGRAMS.items():
        registered = Registered(program)
        for command in module.COMMANDS:
            command.register(registered)
        assert len(registered.parsers) == len(module.COMMANDS)
        for name, parser in registered.parsers.items():
            yield f"{program} {name}", parser
            for action in parser._actions:
                if isinstance(action, argparse._SubParsersAction):
                    for below, subparser in action.choices.items():
                        yield f"{program} {name} {below}", subparser


ALL = dict(parsers())


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_command_is_a_module_with_register_and_run(program: str) -> None:
    for command in PROGRAMS[program].COMMANDS:
        assert isinstance(command, ModuleType)
        assert callable(command.run)
        registered = Registered(program)
        command.register(registered)
        (parser,) = registered.parsers.values()
        assert parser.get_default("run") is command.run


# ---- options


UNIFIED = {
    "--cells": "FILE",
    "--compute": None,
    "--backward": None,
    "--attacks": "NAME",
    "--format": None,
    "--out": ...,
    "--threads": "N",
    "--workers": "N",
    "--model": "NAME",
    "--weights": "FILE",
    "--data": ...,
    "--dataset": "NAME",
    "--folder": "DIR",
    "--layers": None,
    "--samples": ...,
    "--seed": ...,
}
"""Options with one meaning everywhere -> the name of their value in the help (None: no name; ...: not checked)."""


def options() -> dict[str, list[tuple[str, argparse.Action]]]:
    """Long option -> (command, action) of every command that has it."""
    found: dict[str, list[tuple[str, argparse.Action]]] = {}
    for command, parser in ALL.items():
        for action in parser._actions:
            for text in action.option_strings:
                if text.startswith("--"):
                    found.setdefault(text, []).append((command, action))
    return found


def test_the_unified_options_exist() -> None:
    assert set(UNIFIED) <= set(options())


@pytest.mark.parametrize("name", sorted(options()))
def test_an_option_means_the_same_in_every_command(name: str) -> None:
    """Same destination, same number of values, and a value of the same kind."""
    uses = options()[name]
    assert len({action.dest for _, action in uses}) == 1, uses
    if name == "--seed":  # training leaves it to the recipe
        return
    assert len({action.nargs for _, action in uses}) == 1, uses
    kinds = {None if action.type is None else getattr(action.type, "__qualname__", "") for _, action in uses}
    assert len(kinds) == 1, (name, kinds)
    if UNIFIED.get(name, ...) is not ...:
        assert {action.metavar for _, action in uses} <= {UNIFIED[name], "N"}, uses


def test_choices_of_an_option_are_the_same_except_for_formats() -> None:
    for name, uses in options().items():
        choices = {tuple(action.choices) for _, action in uses if action.choices is not None}
        if name == "--format":
            assert choices == {("table", "json", "csv"), ("csv", "json"), ("verilog", "blif", *TABLE_FORMATS)}
        elif name not in ("--attacks", "--method", "--data"):  # commands offer subsets of these
            assert len(choices) <= 1, name


@pytest.mark.parametrize("command", ALL)
def test_every_option_explains_itself(command: str) -> None:
    for action in ALL[command]._actions:
        if not isinstance(action, argparse._SubParsersAction):
            assert action.help, action
            assert not action.help.endswith("."), action
    assert not re.search(r"\(default: [^)]*\)\s+\(default", ALL[command].format_help())


@pytest.mark.parametrize("gone", ["--json", "--gradient", "--attack", "--output", "--models-dir"])
def test_old_names_are_not_in_any_help(gone: str) -> None:
    assert gone not in options()
    for parser in ALL.values():
        assert not re.search(rf"{gone}\b(?!-)", parser.format_help())


# ---- old names


def _register(commands: Commands) -> None:
    parser = commands.add_parser("some", help="some command", description="A command.")
    parser.add_argument("words", nargs="*")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--backward")
    parser.add_argument("--attacks", nargs="+", required=True)
    deprecated_option(parser, "--json", "--format", "json")
    deprecated_option(parser, "--gradient", "--backward")
    deprecated_option(parser, "--attack", "--attacks")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    print(json.dumps([arguments.words, arguments.format, arguments.backward, arguments.attacks]))
    return 0


@pytest.mark.parametrize(
    ("words", "notes"),
    [
        (["--attacks", "pgd", "--backward", "ste", "--format", "json"], 0),
        (["--attack", "pgd", "--gradient", "ste", "--json"], 3),
        (["--attack=pgd", "--gradient=ste", "--json"], 3),
    ],
    ids=["current names", "old names", "old names with ="],
)
def test_old_names_work_with_a_note(words: list[str], notes: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_alone([*words, "--", "--json"], _register, prog="some") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == [["--json"], "json", "ste", ["pgd"]]
    assert captured.err.count("\n") == notes
    assert all(line.startswith("note: --") for line in captured.err.splitlines())
    if notes:
        assert "note: --json is now --format json; the next version drops the old name\n" in captured.err


@pytest.mark.parametrize(
    ("command", "old", "current"),
    [
        ("cnn_eval accuracy", "--mode", ("--compute",)),
        ("cnn_eval transfer", "--mode", ("--compute",)),
        ("cnn_eval margins", "--mode", ("--compute",)),
        ("cnn_eval accuracy", "--json", ("--format", "json")),
        ("cnn_eval attack", "--gradient", ("--backward",)),
        ("cnn_eval attack", "--attack", ("--attacks",)),
        ("circuits export", "--output", ("--out",)),
        ("dse results export", "--output", ("--out",)),
        ("studies run", "--json", ("--format", "json")),
        ("studies report", "--output", ("--out",)),
    ],
)
def test_what_was_renamed_is_still_accepted(command: str, old: str, current: tuple[str, ...]) -> None:
    assert ALL[command].renamed_options[old] == current
    assert current[0] in options()


def test_the_attack_mode_keeps_its_name() -> None:
    assert "--mode" not in ALL["cnn_eval attack"].renamed_options
    (mode,) = [action for action in ALL["cnn_eval attack"]._actions if "--mode" in action.option_strings]
    assert mode.choices == ("minimum", "budget")


# ---- programs


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_and_console_script(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        PROGRAMS[program].main(["--version"])
    assert ended.value.code == 0
    assert re.fullmatch(r"approximate-dse \S.*\n", capsys.readouterr().out)
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    name = {"cnn_eval": "approx-cnn"}.get(program, f"approx-{program}")
    module, _, function = scripts[name].partition(":")
    assert getattr(sys.modules[module], function) is PROGRAMS[program].main


def test_a_console_script_is_called_by_its_own_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for argument, name in (("/usr/bin/approx-dse", "approx-dse"), ("/somewhere/__main__.py", "python -m dse")):
        monkeypatch.setattr(sys, "argv", [argument])
        with pytest.raises(SystemExit):
            dse.__main__.main(["--help"])
        assert capsys.readouterr().out.startswith(f"usage: {name} [-h] [--version] COMMAND")


def test_a_mistake_names_the_command_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_program(["some"], package="nosuch", script="no-such", description="", commands=[_Module()])
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "error: the following arguments are required: --attacks; see python -m nosuch some --help\n"
    )


class _Module:
    """Stands in for the module of a command."""

    def register(self, commands: Commands) -> None:
        _register(commands)


HELP = """
import contextlib, io, json, sys, time
began = time.process_time()
import circuits.commands, cnn_eval.commands, dse.__main__, studies.commands
costs = {"import": time.process_time() - began}
for command in json.loads(sys.argv[1]):
    package, *words = command.split()
    main = {"circuits": circuits.commands, "cnn_eval": cnn_eval.commands, "dse": dse.__main__,
            "studies": studies.commands}[package].main
    began, text = time.process_time(), io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    assert text.getvalue().startswith(f"usage: python -m {command}"), text.getvalue()
    costs[command] = time.process_time() - began
print(json.dumps([costs, sorted(sys.modules)]))
"""


def test_no_help_imports_anything_heavy() -> None:
    """One process prints the help of every program and command. What that costs is printed by house.py, not tested."""
    commands = json.dumps([*PROGRAMS, *ALL])
    done = subprocess.run([sys.executable, "-c", HELP, commands], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    costs, modules = json.loads(done.stdout)
    assert set(costs) == {"import", *PROGRAMS, *ALL}
    assert not HEAVY & set(modules)


def test_the_names_offered_in_help_are_those_in_the_registries() -> None:
    """`cnn_eval.choices` repeats names so that help needs no torch; they must equal those of the modules with torch."""
    from typing import get_args

    from cnn_eval import choices
    from cnn_eval.data.dataset_record import Source
    from cnn_eval.layers.product_kinds import BACKWARD, COMPUTE
    from cnn_eval.layers.replaceable_layers import LAYERS
    from cnn_eval.measure.margin_curves import CURVES
    from cnn_eval.models.training_settings import Optimizer, Precision
    from cnn_eval.quantized.accumulators import MAXIMUM_BITS, MINIMUM_BITS, Overflow
    from cnn_eval.quantized.calibration import CALIBRATIONS
    from cnn_eval.quantized.post_training import FIRST_LAST
    from cnn_eval.quantized.schemes import SCHEMES
    from cnn_eval.scenarios.scenario_runs import SCENARIOS
    from cnn_eval.scenarios.substitute import SubstituteSettings
    from cnn_eval.scenarios.transfer import EXAMPLES

    assert get_args(Source) == choices.SOURCES
    assert LAYERS == choices.LAYERS
    assert BACKWARD == choices.BACKWARD
    assert COMPUTE == choices.COMPUTE
    assert tuple(SCHEMES) == choices.SCHEMES
    assert tuple(CALIBRATIONS) == choices.CALIBRATIONS
    assert FIRST_LAST == choices.FIRST_LAST
    assert get_args(Overflow) == choices.OVERFLOWS
    assert (MINIMUM_BITS, MAXIMUM_BITS) == choices.ACCUMULATOR_BITS
    assert tuple(CURVES) == choices.MARGIN_ATTACKS
    assert SCENARIOS == choices.SCENARIOS
    assert set(EXAMPLES) <= set(choices.EXAMPLE_SETS)
    assert get_args(Precision) == choices.PRECISIONS
    assert get_args(Optimizer) == choices.OPTIMIZERS
    assert SubstituteSettings().rounds == choices.SUBSTITUTE_ROUNDS
    assert choices.DEFAULT_BUDGETS == (
        "the data set's convention: mnist 0.1 linf, 1.5 l2; cifar10 0.0314 linf, 0.5 l2; imagenet 0.0157 linf, 3 l2"
    )


def test_an_object_has_the_name_under_which_it_is_registered() -> None:
    from cnn_eval import ATTACKS, MODELS
    from cnn_eval.attacks.attack_registry import attack_class
    from dse import SCORERS

    assert all(model.name == name for name, model in MODELS.items())
    assert all(scorer.name == name for name, scorer in SCORERS.items())
    assert all(attack_class(name).name == name for name in ATTACKS)
