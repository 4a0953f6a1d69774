"""The mutation script: what it changes, that it draws by seed, and that it tells killed mutants from survivors."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from house import ROOT
from mutation import GROUPS, Group, Laboratory, drawn, function_line, main, mutants_of

SOURCE = '''"""A module: 1 + 1."""
from __future__ import annotations
from functools import lru_cache

@lru_cache(maxsize=4)
def clipped(x: int, low: "int | None" = None) -> int:
    """Never below low - 1."""
    if x < -7 and not low:
        raise ValueError(f"x < {x + 1}")
    x <<= 2
    return max(x, 3) if low is None else x % low  # ä
'''
EXPECTED = {
    "8: x < -7  ->  (x <= -7)",
    "8: 7  ->  (8)",
    "8: x < -7 and (not low)  ->  (x < -7 or not low)",
    "8: not low  ->  (low)",
    "10: x <<= 2  ->  x >>= 2",
    "10: 2  ->  (3)",
    "11: max  ->  (min)",
    "11: 3  ->  (4)",
    "11: low is None  ->  (low is not None)",
    "11: x % low  ->  (x // low)",
    "11: max(x, 3) if low is None else x % low  ->  (x % low if low is None else max(x, 3))",
}


def test_operators_and_numbers_are_changed_and_words_are_not() -> None:
    assert {str(mutant).removeprefix("m.py:") for mutant in mutants_of(SOURCE, "m.py")} == EXPECTED


def test_a_mutant_differs_from_its_source_in_one_place_and_compiles() -> None:
    for file in sorted(ROOT.glob("circuits/accuracy/[a-z]*.py")):
        source = file.read_bytes()
        for mutant in mutants_of(source.decode(), "m.py")[::29]:
            changed = mutant.applied(source)
            compile(changed, mutant.file, "exec")
            assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)), mutant
            assert changed.startswith(source[: mutant.start])
            assert changed.endswith(source[mutant.end :])


@pytest.mark.parametrize("name", GROUPS)
def test_every_group_has_files_tests_and_enough_mutants(name: str) -> None:
    group = GROUPS[name]
    assert all(list(ROOT.glob(pattern)) for pattern in group.sources)
    assert all((ROOT / test.partition("::")[0]).is_file() for test in group.tests)
    mutants = drawn(group, 25, "0")
    assert len(set(mutants)) == 25
    assert mutants == drawn(group, 40, "0")[:25] != drawn(group, 25, "1")


@pytest.mark.slow
def test_a_mutant_is_killed_by_a_test_and_survives_without_one(tmp_path: Path) -> None:
    project = tmp_path / "toy"
    (project / "circuits").mkdir(parents=True)
    (project / "circuits" / "__init__.py").write_text("")
    (project / "circuits" / "area.py").write_text(
        "def area(w, h):\n    return w * h\n\n\ndef perimeter(w, h):\n    return 2 * (w + h)\n"
    )
    (project / "tests").mkdir()
    (project / "tests" / "test_area.py").write_text(
        "from circuits.area import area\n\n\ndef test_area():\n    assert area(2, 3) == 6\n"
    )
    group = Group(("circuits/area.py",), ("tests/test_area.py",))
    (tmp_path / "laboratory").mkdir()
    laboratory = Laboratory(tmp_path / "laboratory", project)
    assert laboratory.seconds(group, slow=True) > 0
    results = {
        str(mutant): laboratory.outcome("toy", group, mutant, slow=True, limit=60).result
        for mutant in drawn(group, 9, "0", project)
        if not mutant.before.isdigit()
    }
    assert results == {
        "circuits/area.py:2: w * h  ->  (w / h)": "killed",
        "circuits/area.py:6: 2 * (w + h)  ->  (2 / (w + h))": "survived",
        "circuits/area.py:6: w + h  ->  (w - h)": "survived",
    }
    calls = json.loads((laboratory.root / "calls.json").read_text())
    (called,) = [places for _, places in calls.values()]
    assert [str(laboratory.root / "circuits" / "area.py"), 1] in called
    assert [str(laboratory.root / "circuits" / "area.py"), 5] not in called
    assert "w * h" in (laboratory.root / "circuits" / "area.py").read_text()
    (laboratory.root / "tests" / "test_area.py").write_text("def test_area():\n    assert False\n")
    with pytest.raises(RuntimeError, match="the tests must pass before anything is changed, but do not"):
        laboratory.seconds(group, slow=True)


def test_a_mutant_belongs_to_the_innermost_function_around_it() -> None:
    source = "a = 1\n\n@cache\ndef f():\n    b = 2\n\n    def g():\n        return 3\n\n    return g\n"
    assert [function_line(source, line) for line in (1, 5, 8, 10)] == [0, 3, 7, 3]


@pytest.mark.slow
def test_chosen_tests_run_first(tmp_path: Path) -> None:
    (tmp_path / "test_order.py").write_text("".join(f"def test_{name}():\n    pass\n" for name in "abcd"))
    first = tmp_path / "first.json"
    first.write_text(json.dumps(["test_order.py::test_d", "test_order.py::test_b"]))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-p", "covering_tests", "test_order.py"],
        cwd=tmp_path,
        env={**os.environ, "FIRST_FILE": str(first), "PYTHONPATH": str(ROOT / "tests" / "support" / "mutants")},
        capture_output=True,
        text=True,
        check=True,
    )
    ran = [line.split("::")[1].split()[0] for line in done.stdout.splitlines() if "::" in line]
    assert ran == ["test_d", "test_b", "test_a", "test_c"]


def test_an_unknown_group_is_refused_with_the_available_groups(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["flots"])
    assert ended.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "unknown group 'flots'; available groups: floats, accuracy, bilinear, cost, timing, scorers," in message
