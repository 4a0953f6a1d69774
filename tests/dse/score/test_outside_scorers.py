"""Scorers from outside: a toy module (area x delay) as objective and constraint, on workers, in stores; refusals."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from circuits import DesignError, design
from dse import Column, Scorer, ScoreSettings, SearchOptions, Store, compare, load_run, results, search
from dse.score.evaluation import ScorerKey, ScoringTask, measure
from dse.score.outside_scorer import load_scorer, scorer_from_data, scorer_to_data
from dse.score.scorer_choice import all_scorers

ROOT = Path(__file__).parents[3]
MODULE = '''
"""A user's module: nothing of it is known to the project."""

from circuits import cost_report
from circuits.designs.design_record import Design
from dse.score.scorers.scorer import Column, Scorer

COLUMN = Column(
    name="area_delay",
    unit="um^2 ns",
    label="area x delay",
    format="significant",
    partly_estimated=True,
    note="area_delay: area as drawn times delay, activity of {cost_samples:,} operands.",
)


class AreaDelay:
    name = "product"
    version = 3
    columns = (COLUMN,)

    def settings(self, settings):
        return {"samples": settings.cost_samples}

    def measure(self, design, settings):
        drawn = cost_report(design, samples=settings.cost_samples).drawn
        return {"area_delay": drawn.area * drawn.delay / 1000, "area_delay_ps": drawn.delay}


def letters(design, settings):
    return {"letters": len(design.topology)}


LETTERS = Scorer(
    name="letters",
    version=1,
    columns=(Column(name="letters", unit="count", label="letters", format=".0f", minimise=False),),
    measure=letters,
    key="cost_digest",
)
BAD_RESULT = Scorer(name="bad", version=1, columns=LETTERS.columns, measure=lambda design, settings: {"nmed": 1.0})
OVERWRITES = Scorer(
    name="bad", version=1, columns=LETTERS.columns, measure=lambda design, settings: {"letters": 1.0, "nmed": 0.0}
)
INFINITE = Scorer(name="bad", version=1, columns=LETTERS.columns, measure=lambda design, settings: {"letters": 1e999})
LEAVES = Scorer(name="bad", version=1, columns=LETTERS.columns, measure=lambda design, settings: exit("bye"))
NUMBER = 3
TAKEN = Scorer(name="cost", version=1, columns=LETTERS.columns, measure=letters)
TAKEN_COLUMN = Scorer(
    name="mine", version=1, columns=(Column(name="nmed", unit="1", label="", format=".1f"),), measure=letters
)
NO_VERSION = Scorer(name="mine", version=0, columns=LETTERS.columns, measure=letters)
BRACES = Scorer(
    name="mine",
    version=1,
    columns=(Column(name="x", unit="1", label="x", format=".1f", note="{samples.__class__}"),),
    measure=letters,
)
FORMAT = Scorer(
    name="mine", version=1, columns=(Column(name="x", unit="1", label="x", format="9999999d"),), measure=letters
)
SETTINGS = Scorer(
    name="mine", version=1, columns=LETTERS.columns, measure=letters, settings=lambda settings: {"x": object()}
)


def raises():
    raise RuntimeError("two\\nlines")
'''
SPACE = """
[space]
ports = ["psc", "scp"]
bands = [0, 24]
cells = ["exact", "ama5"]
half_adders = ["cell"]
final_adders = ["exact"]
topologies = ["ripple_array"]
"""
BUDGET = 7
NAME = "toy_scorers:AreaDelay"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the module and the space."""
    path = tmp_path_factory.mktemp("outside")
    (path / "toy_scorers.py").write_text(MODULE)
    (path / "breaks_on_import.py").write_text("1 / 0\n")
    (path / "needs_another.py").write_text("import nosuchmodule\n")
    (path / "space.toml").write_text(SPACE)
    return path


@pytest.fixture
def importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(folder))
    return folder


def options(folder: Path, out: Path, *more: str) -> list[str]:
    return [
        *("--space", str(folder / "space.toml"), "--scorer", NAME, "--objectives", "area_delay,nmed"),
        *("--constraint", "area_delay<=3000", "--budget", str(BUDGET), "--population", "4", "--method", "nsga2"),
        *("--images", "5", "--attack-images", "1", "--out", str(out), *more),
    ]


def command(folder: Path, out: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "dse.search", *options(folder, out, *more)]


def environment(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def by_two_workers(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The output folder of a search by two workers, and what it printed."""
    out = tmp_path_factory.mktemp("two")
    done = subprocess.run(
        command(folder, out, "--workers", "2"), capture_output=True, text=True, check=False, env=environment(folder)
    )
    assert done.returncode == 0, done.stderr
    return out, done.stdout


@pytest.mark.slow
def test_an_outside_column_is_objective_and_constraint_in_every_output(by_two_workers: tuple[Path, str]) -> None:
    out, printed = by_two_workers
    with (out / "front.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        assert float(row["area_delay [um^2 ns]"]) == float(row["area [um^2]"]) * float(row["delay [ps]"]) / 1000
        assert float(row["area_delay [um^2 ns]"]) <= 3000
    assert list(rows[0])[2:4] == ["area_delay [um^2 ns]", "nmed [1]"]
    assert "Pareto front over area_delay, nmed" in printed
    assert "area_delay<=3000" in printed
    assert "um^2 ns" in printed
    assert "area_delay: area as drawn times delay, activity of 2,048 operands." in " ".join(printed.split())
    page = re.search(r'id="page-data">(.*?)</script>', (out / "report.html").read_text())
    assert page is not None
    data = json.loads(page[1])
    assert data["objectives"] == ["area_delay", "nmed"]
    (column,) = [entry for entry in data["columns"] if entry["name"] == "area_delay"]
    assert (column["label"], column["unit"], column["judged"]) == ("area x delay", "um^2 ns", True)
    assert "area x delay [um^2 ns]" in (out / "pareto_area_delay_nmed.svg").read_text()


@pytest.mark.slow
def test_one_worker_gives_the_same_front_and_a_second_run_computes_nothing(
    importable: Path, by_two_workers: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert search.main(options(importable, tmp_path, "--workers", "1")) == 0
    for name in ("front.csv", "pareto_area_delay_nmed.svg"):
        assert (tmp_path / name).read_bytes() == (by_two_workers[0] / name).read_bytes()
    assert search.main(options(importable, tmp_path, "--workers", "2")) == 0
    assert "Everything was in the store" in capsys.readouterr().out


@pytest.mark.slow
def test_a_killed_search_with_an_outside_scorer_continues(
    folder: Path, by_two_workers: tuple[Path, str], tmp_path: Path
) -> None:
    arguments = command(folder, tmp_path, "--workers", "2")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(arguments, env=environment(folder), **quiet) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "store.sqlite").exists() or _count(tmp_path) < 3:
            assert time.monotonic() < deadline
            assert process.poll() is None, "the search ended before it could be killed"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "front.csv").exists()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment(folder))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "front.csv").read_bytes() == (by_two_workers[0] / "front.csv").read_bytes()


def _count(folder: Path) -> int:
    with Store(folder / "store.sqlite", read_only=True) as store:
        return store.count()


@pytest.mark.slow
def test_a_stored_run_is_shown_where_the_module_is_not_importable(
    by_two_workers: tuple[Path, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, printed = by_two_workers
    monkeypatch.delitem(sys.modules, "toy_scorers", raising=False)
    assert results.main(["show", "last", "--store", str(out)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[:9] == printed.splitlines()[3:12]  # below the space, its cells and the method
    assert results.main(["export", "last", "--format", "json", "--store", str(out)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["units"]["area_delay"] == "um^2 ns"
    assert data["configuration"]["outside_scorers"]["product"]["source"] == NAME
    assert "toy_scorers" not in sys.modules
    frame = load_run(out)
    assert frame.attrs["units"]["area_delay"] == "um^2 ns"
    assert frame["area_delay_ps"].tolist() == frame["delay"].tolist()


def test_compare_prints_the_column_of_an_outside_scorer(importable: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["axfpm", "exact", "--images", "5", "--workers", "1", "--scorer", "toy_scorers:LETTERS"]
    assert compare.main([*arguments, "--format", "csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["letters [count]"] for row in rows] == ["12.0", "12.0"]


def test_version_settings_columns_and_source_enter_the_key(importable: Path) -> None:
    scorer = load_scorer(NAME)
    assert (scorer.version, scorer.cost, scorer.key, scorer.source) == (3, "cheap", "cost_digest", NAME)
    assert scorer.settings_data(ScoreSettings(cost_samples=9)) == {
        "samples": 9,
        "source": NAME,
        "columns": ["area_delay"],
    }
    hashes = {scorer.settings_hash(ScoreSettings(cost_samples=count)) for count in (1, 2)}
    assert len(hashes) == 2
    same_name = Scorer(name="product", version=3, columns=scorer.columns, measure=scorer.measure, source="other:NAME")
    assert same_name.settings_hash(ScoreSettings()) != scorer.settings_hash(ScoreSettings())


def test_runs_without_outside_scorers_keep_their_identity(importable: Path) -> None:
    assert "outside_scorers" not in SearchOptions().to_data()
    data = SearchOptions(scorers=[NAME], objectives=["area_delay", "energy"]).to_data()
    assert data["outside_scorers"].keys() == {"product"}
    assert data["scorers"].keys() >= {"product", "error", "adaptive"}
    assert data["objectives"] == ["area_delay", "energy"]


def test_cheap_scorers_from_outside_run_before_the_network(importable: Path) -> None:
    names = [scorer.name for scorer in all_scorers([load_scorer(NAME)])]
    assert names == [
        *("error", "cost", "network_energy", "product"),
        *("layer_error", "divergence", "accuracy", "transfer", "margin", "adaptive"),
    ]
    with pytest.raises(DesignError, match=r"^scorers must have distinct names, but 'product' is given twice; rename"):
        all_scorers([load_scorer(NAME), load_scorer(NAME)])


def test_what_a_run_records_is_enough_to_show_its_scores(importable: Path) -> None:
    scorer = load_scorer(NAME)
    data = json.loads(json.dumps(scorer_to_data(scorer, ScoreSettings(cost_samples=64))))
    again = scorer_from_data(scorer.name, scorer.version, data)
    (column,) = again.columns
    assert column.note_for({}) == "area_delay: area as drawn times delay, activity of 64 operands."
    assert (column.header, column.partly_estimated) == ("area_delay [um^2 ns]", True)
    with pytest.raises(DesignError, match="was read from a store; give --scorer toy_scorers:AreaDelay to measure"):
        again.measure(design("exact"), ScoreSettings())
    for change in ({"columns": []}, {"cost": "free"}, {"source": 3}, {"more": 1}):
        with pytest.raises(DesignError):
            scorer_from_data(scorer.name, scorer.version, {**data, **change})
    for change in ({"note": "{samples.real}"}, {"name": "nmed"}, {"format": "999999999f"}, {"label": "\x1b[2J"}):
        with pytest.raises(DesignError):
            scorer_from_data(scorer.name, scorer.version, {**data, "columns": [{**data["columns"][0], **change}]})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("BAD_RESULT", "scorer 'bad' must return a score for letters, but returned nmed"),
        ("OVERWRITES", "scorer 'bad' must name details after its columns, but returned 'nmed'"),
        ("INFINITE", "scorer 'bad' must return finite numbers or NaN, but letters is inf"),
        ("LEAVES", "scorer 'bad' ended with SystemExit: bye"),
    ],
)
def test_scores_that_break_the_contract_are_refused(importable: Path, name: str, reason: str) -> None:
    scorer = load_scorer(f"toy_scorers:{name}")
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        scorer.measure(design("exact"), ScoreSettings())


def test_a_worker_with_another_version_refuses(importable: Path) -> None:
    settings = ScoreSettings()
    key = ScorerKey("product", 2, load_scorer(NAME).settings_hash(settings), NAME)
    with pytest.raises(ValueError, match=r"^a worker must have scorer 'product' version 2 with the same weights"):
        measure(ScoringTask(design("exact"), (key,), settings))


def test_an_object_without_a_module_is_refused() -> None:
    column = Column(name="x", unit="1", label="x", format=".1f")
    scorer = Scorer(name="x", version=1, columns=(column,), measure=lambda design, settings: {"x": 1.0})
    with pytest.raises(DesignError, match=r"^a scorer must come from a module that workers can import, but 'x' is"):
        SearchOptions(scorers=[scorer])


@pytest.mark.parametrize(
    ("specification", "message"),
    [
        ("toy_scorers", "a scorer must be given as package.module:NAME, but got 'toy_scorers'; correct it."),
        ("a b:c", "a scorer must be given as package.module:NAME, but got 'a b:c'; correct it."),
        (
            "nosuchmodule.x:Y",
            "scorer nosuchmodule.x:Y cannot be used: there is no module 'nosuchmodule'; correct the name, or set "
            "PYTHONPATH.",
        ),
        (
            "needs_another:X",
            "scorer needs_another:X cannot be used: its module needs 'nosuchmodule', which is not installed; install "
            "it.",
        ),
        (
            "breaks_on_import:X",
            "scorer breaks_on_import:X cannot be used: importing its module failed with ZeroDivisionError: division by "
            "zero; correct the module.",
        ),
        (
            "toy_scorers:NOSUCH",
            "scorer toy_scorers:NOSUCH cannot be used: module toy_scorers has no 'NOSUCH'; correct the name.",
        ),
        (
            "toy_scorers:NUMBER",
            "scorer toy_scorers:NUMBER cannot be used: it is a int without name, version, columns, measure; make it a "
            "dse.score.scorers.scorer.Scorer, or an object with a scorer's attributes.",
        ),
        (
            "toy_scorers:raises",
            "scorer toy_scorers:raises cannot be used: calling raises() failed with RuntimeError: two lines; correct "
            "it.",
        ),
        (
            "toy_scorers:TAKEN",
            "scorer toy_scorers:TAKEN cannot be used: its name must not be that of a built-in scorer, but is 'cost'; "
            "rename it.",
        ),
        (
            "toy_scorers:TAKEN_COLUMN",
            "scorer toy_scorers:TAKEN_COLUMN cannot be used: its column must not have the name of a built-in one, but "
            "is 'nmed'; rename it.",
        ),
        (
            "toy_scorers:NO_VERSION",
            "scorer toy_scorers:NO_VERSION cannot be used: its version must be a positive integer, but is 0; correct "
            "it.",
        ),
        (
            "toy_scorers:BRACES",
            "scorer toy_scorers:BRACES cannot be used: note of column x may hold names of settings in braces "
            "({samples:,}) and no other braces; write a brace twice.",
        ),
        (
            "toy_scorers:FORMAT",
            "scorer toy_scorers:FORMAT cannot be used: format of column x must be a format such as '.2f', but is "
            "'9999999d'; correct it.",
        ),
        (
            "toy_scorers:SETTINGS",
            "scorer toy_scorers:SETTINGS cannot be used: its settings must be JSON-ready data, but: TypeError: Object "
            "of type object is not JSON serializable; correct them.",
        ),
    ],
)
def test_a_scorer_that_cannot_be_used_is_one_line_and_touches_nothing(
    importable: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], specification: str, message: str
) -> None:
    out = tmp_path / "run"
    assert search.main(["--scorer", specification, "--out", str(out)]) == 2
    assert capsys.readouterr() == ("", f"error: {message}\n")
    assert not out.exists()
    assert compare.main(["exact", "--scorer", specification]) == 2
    assert capsys.readouterr() == ("", f"error: {message}\n")
