"""Differential fuzz of the Verilog reader against iverilog: random expressions, values compared bit for bit.

    python tests/support/fuzz_verilog.py --count 2000 --seed 0
    python tests/support/fuzz_verilog.py --count 400 --seed 7 --write tests/support/verilog/verilog_expressions.json

Every expression reads inputs of several widths and both signs and is assigned to a target of random width and sign. It
may contain every operator except division and power (+ - * bitwise, shifts, comparisons, logical, reductions, ?:,
concatenation, replication, bit and part selects, $signed and $unsigned), and no x or z. `--write` stores expressions
and iverilog's answers for the test that runs without iverilog.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from random_netlists import evaluate_row

from circuits import DesignError
from circuits.hdl import read_verilog

SIGNALS = {
    "a": (1, False),
    "b": (2, False),
    "c": (4, False),
    "d": (7, False),
    "s": (2, True),
    "t": (3, True),
    "u": (5, True),
    "v": (8, True),
}
"""Inputs: width and sign."""
TARGETS = (1, 2, 3, 4, 6, 8, 9, 12, 16, 33, 40)
VECTORS = 24
"""Input vectors per expression: all zeros, all ones, and random ones."""
_HEADER = ", ".join(f"input {'signed ' if s else ''}[{w - 1}:0] {n}" for n, (w, s) in SIGNALS.items())
_BINARY = ["+", "-", "*", "&", "|", "^", "~^", "^~"]
_COMPARISONS = ["==", "!=", "<", "<=", ">", ">=", "===", "!=="]


@dataclass(frozen=True)
class Case:
    """An assignment of `expression` to an output of `target` bits."""

    expression: str
    target: int
    signed: bool

    def module(self, name: str) -> str:
        """Verilog text of a module with this one assignment."""
        sign = "signed " if self.signed else ""
        return (
            f"module {name}({_HEADER}, output {sign}[{self.target - 1}:0] o);\n"
            f"  assign o = {self.expression};\nendmodule\n"
        )


class Generator:
    """Random expressions; `depth` bounds the nesting."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def case(self) -> Case:
        """A random assignment."""
        expression = self.expression(self.random.choice((1, 2, 2, 3, 3, 4)))
        return Case(expression, self.random.choice(TARGETS), self.random.random() < 0.4)

    def expression(self, depth: int) -> str:
        """An expression, sometimes without the parentheses that it does not need."""
        if depth == 0:
            return self.operand()
        choose = self.random.choice
        kind = self.random.random()
        if kind < 0.34:
            return f"({self.expression(depth - 1)} {choose(_BINARY)} {self.expression(depth - 1)})"
        if kind < 0.42:  # no parentheses: binding strengths decide
            operators = [choose([*_BINARY, "&&", "||", *_COMPARISONS, "<<", ">>"]) for _ in range(2)]
            operands = [self.expression(min(depth - 1, 1)) for _ in range(3)]
            return f"({operands[0]} {operators[0]} {operands[1]} {operators[1]} {operands[2]})"
        if kind < 0.52:
            return f"({self.expression(depth - 1)} {choose(['<<', '>>', '<<<', '>>>'])} {self.amount(depth - 1)})"
        if kind < 0.60:
            return f"({self.expression(depth - 1)} {choose(_COMPARISONS)} {self.expression(depth - 1)})"
        if kind < 0.65:
            return f"({self.expression(depth - 1)} {choose(['&&', '||'])} {self.expression(depth - 1)})"
        if kind < 0.73:
            return f"({self.expression(depth - 1)} ? {self.expression(depth - 1)} : {self.expression(depth - 1)})"
        if kind < 0.83:
            return f"({choose(['~', '-', '+', '~', '-', '!'])}{self.expression(depth - 1)})"
        if kind < 0.88:
            return f"({choose(['&', '|', '^', '~&', '~|', '~^', '^~'])}{self.expression(depth - 1)})"
        if kind < 0.94:
            return self.concatenation(depth)
        return f"{choose(['$signed', '$unsigned'])}({self.expression(depth - 1)})"

    def concatenation(self, depth: int) -> str:
        """A concatenation {...} or replication {n{...}} of sized operands."""
        parts = ", ".join(self.sized(depth - 1) for _ in range(self.random.randint(1, 3)))
        return f"{{{self.random.randint(1, 4)}{{{parts}}}}}" if self.random.random() < 0.4 else f"{{{parts}}}"

    def sized(self, depth: int) -> str:
        """An expression that holds no unsized number."""
        while True:
            text = self.expression(depth)
            if not _unsized(text):
                return text

    def amount(self, depth: int) -> str:
        """A shift amount, mostly small."""
        return str(self.random.randint(0, 9)) if self.random.random() < 0.5 else self.expression(min(depth, 1))

    def operand(self) -> str:
        """A signal, a bit or part select of one, or a number."""
        kind = self.random.random()
        name = self.random.choice(list(SIGNALS))
        width, _ = SIGNALS[name]
        if kind < 0.55:
            return name
        if kind < 0.65:
            return f"{name}[{self.random.randrange(width)}]"
        if kind < 0.73:
            low, high = sorted(self.random.randrange(width) for _ in range(2))
            return f"{name}[{high}:{low}]"
        if kind < 0.78:
            count = self.random.randint(1, width)
            low = self.random.randint(0, width - count)
            return (
                f"{name}[{low} +: {count}]" if self.random.random() < 0.5 else f"{name}[{low + count - 1} -: {count}]"
            )
        if kind < 0.81:  # variable indices that never leave their range
            return self.random.choice(
                ["c[b]", "v[d[2:0]]", "b[a]", "v[{b, a}]", "d[b +: 3]", "v[{1'b1, b} -: 4]", "u[a + 1]"]
            )
        return self.number()

    def number(self) -> str:
        """A sized or unsized number, signed or not."""
        if self.random.random() < 0.3:
            return str(self.random.choice([0, 1, 2, 3, 5, 7, 8, 100]))
        width = self.random.choice([1, 2, 3, 4, 8, 9])
        value = self.random.randrange(1 << width)
        sign = self.random.choice(["", "s"])
        base, text = self.random.choice([("b", f"{value:b}"), ("d", f"{value}"), ("h", f"{value:x}")])
        return f"{width}'{sign}{base}{text}"


def _unsized(text: str) -> bool:
    """Whether a text holds a number without a size, outside brackets and replications."""
    depth = 0
    previous = " "
    for k, character in enumerate(text):
        depth += (character == "[") - (character == "]")
        if character.isdigit() and depth == 0 and not (previous.isalnum() or previous == "'"):
            rest = text[k:].lstrip("0123456789")
            if not rest.startswith(("'", "{")):
                return True
        previous = character
    return False


def vectors(seed: int) -> list[dict[str, int]]:
    """VECTORS assignments of values to all inputs."""
    source = random.Random(f"vectors {seed}")
    rows = [dict.fromkeys(SIGNALS, 0), {name: (1 << width) - 1 for name, (width, _) in SIGNALS.items()}]
    while len(rows) < VECTORS:
        rows.append({name: source.randrange(1 << width) for name, (width, _) in SIGNALS.items()})
    return rows


def ours(case: Case, rows: list[dict[str, int]]) -> list[int]:
    """The target's value for every row of inputs, by our reader; DesignError where the reader refuses the text."""
    netlist = read_verilog([("fuzz.v", case.module("m"))], top="m").netlist
    results = []
    for row in rows:
        bits = {net: row[name] >> k & 1 for name, bus in netlist.inputs.items() for k, net in enumerate(bus)}
        results.append(sum(bit << k for k, bit in enumerate(evaluate_row(netlist, bits))))
    return results


def iverilog(cases: list[Case], rows: list[dict[str, int]], folder: Path) -> list[list[int] | None]:
    """The target's values by iverilog, one list per case; None where it refuses the case or answers x.

    All cases share one simulation.
    """
    (folder / "cases.v").write_text("".join(case.module(f"m{k}") for k, case in enumerate(cases)))
    connections = ", ".join(f".{name}({name})" for name in SIGNALS)
    lines = ["module bench;"]
    lines += [f"reg {'signed ' if s else ''}[{w - 1}:0] {n};" for n, (w, s) in SIGNALS.items()]
    for k, case in enumerate(cases):
        lines += [f"wire [{case.target - 1}:0] o{k}; m{k} i{k}({connections}, .o(o{k}));"]
    lines += ["initial begin"]
    for row in rows:
        lines += [" ".join(f"{name} = {value};" for name, value in row.items()) + " #1;"]
        lines += [f'$display("%b", o{k});' for k in range(len(cases))]
    (folder / "bench.v").write_text("\n".join([*lines, "end endmodule"]))
    command = ["iverilog", "-g2012", "-s", "bench", "-o", "bench", "cases.v", "bench.v"]
    compiled = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    if compiled.returncode:
        if len(cases) == 1:
            return [None]
        half = len(cases) // 2  # find the one that iverilog refuses
        return iverilog(cases[:half], rows, folder) + iverilog(cases[half:], rows, folder)
    done = subprocess.run(["vvp", "-n", "bench"], cwd=folder, capture_output=True, text=True, timeout=600, check=True)
    words = done.stdout.split()
    answers: list[list[int] | None] = []
    for k in range(len(cases)):
        column = words[k :: len(cases)]
        answers.append([int(word, 2) for word in column] if all(set(word) <= {"0", "1"} for word in column) else None)
    return answers


def main(argv: list[str] | None = None) -> int:
    """Prints the counts; returns 1 where an answer is wrong or we refuse more than 2 % of what iverilog accepts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000, help="expressions (default 2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, metavar="JSON", help="store the expressions and iverilog's answers")
    options = parser.parse_args(argv)
    generator = Generator(options.seed)
    cases = [generator.case() for _ in range(options.count)]
    rows = vectors(options.seed)
    answers: list[list[int] | None] = []
    with tempfile.TemporaryDirectory() as folder:
        for start in range(0, len(cases), 250):
            answers += iverilog(cases[start : start + 250], rows, Path(folder))
    wrong = refused = accepted = 0
    for case, answer in zip(cases, answers, strict=True):
        if answer is None:
            continue
        accepted += 1
        try:
            result = ours(case, rows)
        except DesignError as error:
            refused += 1
            print(f"refused: o[{case.target}] = {case.expression}: {error}")
            continue
        if result != answer:
            wrong += 1
            k = next(k for k in range(len(rows)) if result[k] != answer[k])
            sign = "signed " if case.signed else ""
            print(f"wrong: {sign}o[{case.target}] = {case.expression} for {rows[k]}: {result[k]:b}, not {answer[k]:b}")
    print(
        f"seed {options.seed}: {options.count} expressions, iverilog takes {accepted}; of these we refuse {refused} "
        f"({100 * refused / max(accepted, 1):.1f} %), {wrong} wrong, {accepted - refused - wrong} equal in "
        f"{VECTORS} vectors each"
    )
    if options.write:
        stored = [
            {"expression": case.expression, "target": case.target, "signed": case.signed, "answers": answer}
            for case, answer in zip(cases, answers, strict=True)
            if answer is not None
        ]
        text = json.dumps({"seed": options.seed, "cases": stored}, separators=(",", ":"))
        options.write.write_text(text.replace('{"expression"', '\n{"expression"') + "\n")
    return int(wrong > 0 or refused > 0.02 * accepted)


if __name__ == "__main__":
    sys.exit(main())
