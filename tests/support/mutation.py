"""Mutation testing: changes one operator or constant at a time and counts the changes that some test notices.

    python tests/support/mutation.py floats cost --mutants 25 --seed 0

Each group names source files and the tests that must guard them. Its mutants are drawn from all places where a file can
be changed, so that a seed always gives the same ones. A mutant is written into a copy of the project, never into the
checkout; the group's tests run there until the first failure. It is killed by a failing test or by time running out.
Survivors are printed with file, line and change: each wants a test, or a reason why it computes the same.

Mutmut and Cosmic Ray, which do the same, either run the whole suite for each mutant or take one command for all files,
draw no sample by seed, and know nothing of numba's caches: a compiled function in the cache of another file goes on
calling the original. Here a mutant that compiled code may have taken in starts with an empty cache.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from house import FOLDERS, ROOT, imported_names

_TIME_FACTOR, _TIME_EXTRA = 4, 60
"""A mutant has this multiple of the time of the unchanged tests, and so many seconds more."""
_COPIED = (
    *FOLDERS,
    "docs",
    "pyproject.toml",
    "constraints.txt",
    "README.md",
    "CHANGELOG.md",
    "CITATION.cff",
    "mkdocs.yml",
)


@dataclass(frozen=True)
class Group:
    """Source files (globs below the root) and the tests that guard them."""

    sources: tuple[str, ...]
    tests: tuple[str, ...]


_ACCURACY, _COST, _ATTACKS = "tests/circuits/accuracy", "tests/circuits/cost", "tests/cnn_eval/attacks"
_FLOATS = "tests/circuits/floats"
GROUPS: Mapping[str, Group] = {
    "floats": Group(
        ("circuits/floats/[a-z]*.py",),
        (
            "tests/circuits/support/test_circuits_cli.py::test_bit_patterns_are_the_codes_of_the_format",
            "tests/circuits/support/test_circuits_cli.py::test_the_bit_pattern_of_nan_is_the_quiet_one",
            f"{_FLOATS}/test_formats.py",
            f"{_FLOATS}/test_float_netlist.py",
            f"{_FLOATS}/test_float_multiply.py",
        ),
    ),
    "accuracy": Group(
        ("circuits/accuracy/[ac-z]*.py",),
        tuple(
            f"{_ACCURACY}/test_{name}.py"
            for name in ("metrics", "histograms", "closed_form", "golden", "intervals", "surfaces", "metrics_cli")
        ),
    ),
    "bilinear": Group(("circuits/accuracy/bilinear.py",), (f"{_ACCURACY}/test_bilinear.py",)),
    "cost": Group(
        ("circuits/cost/[abce]*.py",),
        tuple(f"{_COST}/test_{name}.py" for name in ("cost", "cost_golden", "gates")),
    ),
    "timing": Group(
        ("circuits/cost/timing.py", "circuits/cost/l*.py", "circuits/cost/true_paths/[a-z]*.py"),
        (f"{_COST}/test_viability.py", f"{_COST}/test_cost.py"),
    ),
    "scorers": Group(
        ("dse/score/scorers/[a-z]*.py",),
        tuple(
            f"tests/dse/{name}.py"
            for name in (
                "score/test_adaptive_scorer",
                "score/test_outside_scorers",
                "space/test_dse_layers",
                "explore/test_dse_intervals",
                "explore/test_dse_compare",
                "explore/test_dse_search",
            )
        ),
    ),
    "attacks": Group(
        ("cnn_eval/attacks/[a-z]*.py", "cnn_eval/attacks/shared/[a-z]*.py"),
        (
            f"{_ATTACKS}/test_budgets.py",
            *(
                f"{_ATTACKS}/test_attacks_{name}.py"
                for name in ("primitives", "closed_form", "ported", "crafting", "hyperparameters")
            ),
        ),
    ),
    "scenarios": Group(
        ("cnn_eval/scenarios/[a-z]*.py",), (f"{_ATTACKS}/test_attack_scenarios.py", f"{_ATTACKS}/test_margins.py")
    ),
}


# ---- mutants of a file

_SWAPS: tuple[tuple[type[ast.AST], type[ast.AST]], ...] = (
    (ast.Add, ast.Sub),
    (ast.Mult, ast.Div),
    (ast.LShift, ast.RShift),
    (ast.BitAnd, ast.BitOr),
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.Is, ast.IsNot),
    (ast.In, ast.NotIn),
    (ast.And, ast.Or),
)
_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    **dict(_SWAPS),
    **{after: before for before, after in _SWAPS},
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitXor: ast.BitOr,
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "amax": "amin", "argmax": "argmin"}
_NEUTRAL_KEYWORDS = ("strict", "dtype", "copy", "threads")
"""Keyword arguments that decide no result of code that runs without an error."""


@dataclass(frozen=True)
class Mutant:
    """One change: `before` in `line` of `file` becomes `after`; `start` and `end` are byte offsets."""

    file: str
    line: int
    before: str
    after: str
    start: int
    end: int

    def applied(self, source: bytes) -> bytes:
        """The source of the file with the change."""
        return source[: self.start] + self.after.encode() + source[self.end :]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.before}  ->  {self.after}"


def mutants_of(source: str, file: str) -> list[Mutant]:
    """All mutants of a file, in the order of its lines.

    Docstrings, annotations, decorators, `raise` statements, formatted strings and imports are left alone: no number
    depends on them, or the tests that compare whole messages are many.
    """
    line_starts = [0]
    for line in source.encode().splitlines(keepends=True):
        line_starts.append(line_starts[-1] + len(line))
    mutants = []
    for node in _places(ast.parse(source)):
        assert isinstance(node, ast.expr | ast.stmt)
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = line_starts[node.lineno - 1] + node.col_offset
        end = line_starts[node.end_lineno - 1] + node.end_col_offset
        before = ast.unparse(node)
        for changed in _changes(node):
            text = ast.unparse(changed)
            # Parentheses keep the precedence, whatever surrounds the expression.
            after = text if isinstance(node, ast.stmt) else f"({text})"
            mutants.append(Mutant(file, node.lineno, before, after, start, end))
    return sorted(mutants, key=lambda mutant: (mutant.start, mutant.end, mutant.after))


def _places(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the nodes of code that may be changed."""
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.Import | ast.ImportFrom):
        return
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    if isinstance(node, ast.keyword) and node.arg in _NEUTRAL_KEYWORDS:
        return
    if isinstance(node, ast.expr | ast.AugAssign):
        yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _places(child)


def _changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yields changed copies of a node."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, int | float):
            yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in _OPERATORS:
        changed = copy.deepcopy(node)
        changed.op = _OPERATORS[type(node.op)]()  # type: ignore[assignment]
        yield changed
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield node.operand
    elif isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            comparison = copy.deepcopy(node)
            comparison.ops[place] = _OPERATORS[type(operator)]()  # type: ignore[call-overload]
            yield comparison
    elif isinstance(node, ast.IfExp):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.Name) and node.id in _NAMES:
        yield ast.Name(_NAMES[node.id])
    elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
        yield ast.Attribute(node.value, _NAMES[node.attr])


def drawn(group: Group, count: int, seed: str, root: Path = ROOT) -> list[Mutant]:
    """The first `count` mutants of the group's files, or all if there are fewer, in an order that the seed decides."""
    files = sorted(path for pattern in group.sources for path in root.glob(pattern))
    every = [
        mutant
        for path in files
        for mutant in mutants_of(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix())
    ]
    random.Random(seed).shuffle(every)
    return every[:count]


# ---- running the tests


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: "killed", "timed out" or "survived", after `seconds`."""

    group: str
    mutant: Mutant
    result: str
    seconds: float


class Laboratory:
    """A copy of the project in a temporary folder, where files can be changed and tests run."""

    def __init__(self, folder: Path, root: Path = ROOT) -> None:
        self.root = folder / "project"
        self.root.mkdir()
        self._caches = folder / "caches"
        for name in _COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif (root / name).is_file():
                shutil.copy(root / name, self.root / name)

    def seconds(self, group: Group, *, slow: bool) -> float:
        """Runs the tests of a group on the unchanged project; raises RuntimeError if they do not pass."""
        began = time.monotonic()
        status, output = self._run(group, slow, "shared", None)
        if status != 0:
            raise RuntimeError(f"the tests must pass before anything is changed, but do not:\n{output[-2000:]}")
        return time.monotonic() - began

    def outcome(self, name: str, group: Group, mutant: Mutant, *, slow: bool, limit: float) -> Outcome:
        """Applies a mutant, runs the tests of its group and takes the change back."""
        path = self.root / mutant.file
        source = path.read_bytes()
        cache = "own" if self._may_be_compiled(path) else "shared"
        shutil.rmtree(self._caches / "own", ignore_errors=True)
        began = time.monotonic()
        path.write_bytes(mutant.applied(source))
        try:
            status, output = self._run(group, slow, cache, limit)
        finally:
            path.write_bytes(source)
        if status not in (None, 0, 1, 2):
            raise RuntimeError(f"pytest must run tests, but ended with {status}:\n{output[-2000:]}")
        result = {None: "timed out", 0: "survived"}.get(status, "killed")
        return Outcome(name, mutant, result, time.monotonic() - began)

    def _may_be_compiled(self, path: Path) -> bool:
        """Whether numba compiles code of the file, or code that imports names from it."""
        module = ".".join(path.relative_to(self.root).with_suffix("").parts)
        using = (p for p in self.root.glob("circuits/**/*.py") if b"njit" in p.read_bytes())
        return any(p == path or any(n.startswith(module) for n in imported_names(p)) for p in using)

    def _run(self, group: Group, slow: bool, cache: str, limit: float | None) -> tuple[int | None, str]:
        """(exit status of pytest, or None if time ran out; what it printed)."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MUTANT": "1",  # see tests/conftest.py
            "NUMBA_CACHE_DIR": str(self._caches / cache),
            "XDG_CACHE_HOME": str(self._caches / f"{cache}-user"),
        }
        marks = [] if slow else ["-m", "not slow"]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *marks, *group.tests]
        try:
            done = subprocess.run(
                command, cwd=self.root, env=environment, capture_output=True, text=True, timeout=limit, check=False
            )
        except subprocess.TimeoutExpired:
            return None, ""
        return done.returncode, done.stdout + done.stderr


def main(argv: Sequence[str] | None = None) -> int:
    """Prints every outcome as it comes, then a line for each group; returns 1 below the share that is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)} (default: all)")
    parser.add_argument("--mutants", type=int, default=38, metavar="N", help="mutants of each group (default: 38)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which are drawn (default: 0)")
    parser.add_argument("--slow", action="store_true", help="run the tests marked slow as well")
    parser.add_argument("--least", type=float, default=90, metavar="PERCENT", help="share to kill (default: 90)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="append outcomes as lines of JSON; skip those there")
    arguments = parser.parse_args(argv)
    names = arguments.groups or list(GROUPS)
    for name in names:
        if name not in GROUPS:
            parser.error(f"unknown group {name!r}; available groups: {', '.join(GROUPS)}.")
    with tempfile.TemporaryDirectory() as folder:
        laboratory = Laboratory(Path(folder))
        shares = [_measure(name, laboratory, arguments) for name in names]
    return 0 if min(shares) >= arguments.least / 100 else 1


def _measure(name: str, laboratory: Laboratory, arguments: argparse.Namespace) -> float:
    """Runs the mutants of one group and prints what survives; returns the share that was killed."""
    group = GROUPS[name]
    known = _recorded(arguments.out)
    limit, results = 0.0, []
    for mutant in drawn(group, arguments.mutants, f"{name} {arguments.seed}"):
        result = known.get((name, str(mutant)))
        if result is None:
            limit = limit or _TIME_EXTRA + _TIME_FACTOR * laboratory.seconds(group, slow=arguments.slow)
            outcome = laboratory.outcome(name, group, mutant, slow=arguments.slow, limit=limit)
            result = outcome.result
            if arguments.out is not None:
                with arguments.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**asdict(outcome), "text": str(mutant)}) + "\n")
        print(f"{result:9} {mutant}", flush=True)
        results.append(result)
    killed = len(results) - results.count("survived")
    print(f"{name}: {killed} of {len(results)} mutants killed, seed {arguments.seed}", flush=True)
    return killed / max(1, len(results))


def _recorded(path: Path | None) -> dict[tuple[str, str], str]:
    """(group, mutant as printed) -> result, of an earlier run."""
    if path is None or not path.is_file():
        return {}
    records = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {(record["group"], record["text"]): record["result"] for record in records}


if __name__ == "__main__":
    sys.exit(main())
