"""The command `python -m dse.evolve`: results, resumed walks, workers, operand weights, mistakes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from circuits import Design, error_metrics, netlist_from_verilog
from dse import evolve
from dse.evolution import walk_tasks
from dse.evolution.error_limits import Limits, parse_limits, parse_sweep
from dse.evolution.evolution_run import EvolutionOptions, cheapest
from dse.evolution.genome import Genome, genome_of
from dse.evolution.library_recipe import library_targets
from dse.evolution.target_names import target_of
from dse.evolution.walk_tasks import WalkResult, WalkTask, run_walk

SEED = Design(topology="dadda", width=4, format=None, name="dadda4")


@pytest.fixture
def seed_file(tmp_path: Path) -> str:
    path = tmp_path / "seed.toml"
    path.write_text(SEED.to_toml())
    return str(path)


def circuits_of(folder: Path) -> dict[str, str]:
    """Name -> file of each circuit, without the command in it."""
    return {
        path.name: "\n".join(line for line in path.read_text().splitlines() if not line.startswith("# command"))
        for path in sorted(folder.glob("*.toml"))
    }


def test_a_sweep_writes_verified_circuits_front_plots_and_report(
    tmp_path: Path, seed_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, library = tmp_path / "out", tmp_path / "library"
    command = [seed_file, "--sweep", "med=0.5:4:3", "--error", "worst_case<=20", "--evaluations", "6000"]
    command += ["--restarts", "2", "--workers", "1", "--out", str(out), "--into", str(library)]
    assert evolve.main(command) == 0
    assert "verified on all operand pairs" in capsys.readouterr().out.replace("\n", " ")
    names = ["u4_med0.5_wc20", "u4_med1.41_wc20", "u4_med4_wc20"]
    assert sorted(path.stem for path in out.glob("*.toml")) == names == sorted(p.stem for p in library.glob("*.toml"))
    for name, bound in zip(names, (0.5, 1.41, 4.0), strict=True):
        design = Design.load(out / f"{name}.toml")
        errors = error_metrics(design)
        assert errors.med.value <= bound
        assert errors.worst_case <= 20
        x, y = np.meshgrid(np.arange(16), np.arange(16))
        verilog = Design(circuit=netlist_from_verilog((out / f"{name}.v").read_text(), where=name))
        np.testing.assert_array_equal(verilog.multiply_integers(x, y), design.multiply_integers(x, y))
    files = {path.name for path in out.iterdir()}
    assert {"front.csv", "report.html", "pareto_nmed_energy.png", "pareto_worst_case_energy.svg"} <= files
    # Again: everything is there, and nothing better for the library.
    before = circuits_of(out)
    assert evolve.main(command) == 0
    assert circuits_of(out) == before
    assert "0 circuits" in capsys.readouterr().out


@pytest.mark.slow
def test_the_circuits_do_not_depend_on_the_number_of_workers(tmp_path: Path, seed_file: str) -> None:
    results = []
    for workers in ("1", "2"):
        out = tmp_path / workers
        command = [seed_file, "--sweep", "mred=0.05,0.2", "--evaluations", "8000", "--workers", workers]
        assert evolve.main([*command, "--out", str(out)]) == 0
        results.append(circuits_of(out))
    assert results[0] == results[1]
    assert len(results[0]) == 2


def test_a_killed_walk_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_tasks, "CHUNK", 500)
    task = WalkTask(SEED, Limits((("mae_percent", 0.5),)), "energy", 3000, (1, 2), tmp_path / "walk.npz")
    # A walk of half the length leaves what a kill there would leave.
    run_walk(replace(task, children=1500))
    assert walk_tasks.progress(tmp_path / "walk.npz") == 1500
    resumed, straight = run_walk(task), run_walk(replace(task, checkpoint=None))
    assert resumed.cost == straight.cost
    assert resumed.statistics == straight.statistics
    for column in ("functions", "first", "second", "outputs"):
        np.testing.assert_array_equal(getattr(resumed.genome, column), getattr(straight.genome, column))


def test_a_distribution_makes_circuits_for_it(tmp_path: Path, seed_file: str) -> None:
    weights = np.zeros((16, 16))
    weights[:4, :] = 1  # the first operand is below 4
    np.save(tmp_path / "codes.npy", weights)
    command = [
        seed_file,
        "--error",
        "med<=0",
        "--operand-weights",
        str(tmp_path / "codes.npy"),
        "--evaluations",
        "20000",
    ]
    assert evolve.main([*command, "--out", str(tmp_path / "out"), "--workers", "1"]) == 0
    design = Design.load(tmp_path / "out" / "u4_med0.toml")
    x, y = np.meshgrid(np.arange(16), np.arange(16), indexing="ij")
    product = design.multiply_integers(x, y).astype(np.int64)
    np.testing.assert_array_equal(product[:4], (x * y)[:4])
    assert (product != x * y).any()
    assert len(design.netlist().instances) < 40


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--error", "nmed<0.1"], "an error limit must be NAME<=NUMBER, but got 'nmed<0.1'"),
        (["--error", "nmeb<=0.1"], "unknown error metric 'nmeb'; nearest: nmed"),
        (["--error", "nmed<=-1"], "must be a number of at least 0, but got 'nmed<=-1'"),
        ([], "an error limit must be given, but got none"),
        (["--sweep", "nmed=2:1:3"], "0 < LOW <= HIGH must hold in a sweep"),
        (["--sweep", "nmed=1:2"], "a sweep must be NAME=LOW:HIGH:COUNT with a count"),
        (["--error", "nmed<=1", "--sweep", "nmed=0.1,0.2"], "both limit nmed; drop one"),
        (["--error", "nmed<=1", "--operand-weights", "none.npy"], "none.npy must be a file of operand weights"),
    ],
)
def test_mistakes_of_evolve_are_one_line(
    tmp_path: Path, seed_file: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert evolve.main([seed_file, *options, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_float_designs_and_other_evolutions_are_refused(
    tmp_path: Path, seed_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evolve.main(["heap", "--error", "nmed<=0.1", "--out", str(tmp_path / "a")]) == 2
    assert "an integer multiplier can be evolved" in capsys.readouterr().err
    command = [seed_file, "--error", "med<=1", "--evaluations", "500", "--workers", "1", "--out", str(tmp_path / "b")]
    assert evolve.main(command) == 0
    capsys.readouterr()
    assert evolve.main([*command, "--seed", "7"]) == 2
    assert "holds one with other seed" in capsys.readouterr().err
    assert json.loads((tmp_path / "b" / "evolution.json").read_text())["seed"] == 0
    assert evolve.main([*command, "--seed", "7", "--fresh"]) == 0


def test_limits_and_sweeps_are_read() -> None:
    limits = parse_limits(["nmed<=0.001", "worst_case <= 40"])
    assert limits.bounds == (("nmed", 0.001), ("worst_case", 40.0))
    assert parse_sweep("mae_percent=0.01:1:3") == ("mae_percent", (0.01, 0.1, 1.0))
    assert parse_sweep("mred=0.5,0.25") == ("mred", (0.5, 0.25))


def test_a_circuit_starts_walks_wherever_it_meets_the_limits() -> None:
    """Even if it was evolved for another metric; cheaper circuits that break the limits start none."""
    exact, rough = (
        genome_of(SEED),
        genome_of(Design(topology="truncated", width=4, format=None, options={"columns": 3})),
    )
    errors = error_metrics(Design(topology="truncated", width=4, format=None, options={"columns": 3}))

    def walk(genome: Genome, cost: float) -> WalkResult:
        return WalkResult(genome, cost, 1, {})

    mean, worst, tight = (
        target_of([SEED], parse_limits([text]))
        for text in ("med<=100", f"worst_case<={errors.worst_case:g}", f"worst_case<={errors.worst_case - 1:g}")
    )
    options = EvolutionOptions((mean, worst, tight), "energy", 100, 4, 0)
    known = {
        mean: [walk(rough, 10.0), walk(exact, 30.0)],
        worst: [walk(exact, 20.0), walk(exact, 20.0)],
        tight: [walk(exact, 21.0), walk(exact, math.inf)],
    }
    costs = [[start.cost for start in cheapest(options, known, target, 2)] for target in options.targets]
    assert costs == [[10.0, 20.0], [10.0, 20.0], [20.0, 21.0]]


def test_only_matching_targets_are_evolved_and_other_seeds_help(
    tmp_path: Path, seed_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [seed_file, "--sweep", "med=1,2,3", "--evaluations", "300", "--restarts", "2", "--workers", "1"]
    command += ["--also-from", "ripple_array:width:4:format:integer", "--out", str(tmp_path / "out")]
    assert evolve.main([*command, "--only", "*med2"]) == 0
    assert [path.stem for path in (tmp_path / "out").glob("*.toml")] == ["u4_med2"]
    assert "# evolved from: dadda4, " in (tmp_path / "out" / "u4_med2.toml").read_text()
    capsys.readouterr()
    assert evolve.main([*command, "--only", "s8*"]) == 2
    assert "--only must match a circuit's name, but s8* matches none of u4_med1 to u4_med3." in capsys.readouterr().err
    assert evolve.main([*command, "--also-from", "ripple_array:width:5:format:integer"]) == 2
    assert "seed designs must have the same operands, but 'dadda4' is 4 x 4 unsigned" in capsys.readouterr().err


def test_the_library_has_at_least_ninety_targets() -> None:
    targets = library_targets()
    assert len(targets) == len({target.name for target in targets}) >= 90
