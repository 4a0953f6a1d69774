"""The command `python -m dse.search`: files, determinism, kill and resume, a user's cells, mistakes."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from running_searches import is_running, stored_designs

from circuits import CELLS, Design
from dse import COLUMNS, Store, search
from dse.present.convergence_plot import CONVERGENCE_FILES
from dse.present.pareto_plots import file_names, pareto_plots
from dse.score.networks.network_keys import EMBEDDED_IMAGES
from dse.score.scored_design import ScoredDesign

SPACE = """
[space]
ports = ["psc", "scp", "csp"]
bands = [0, 24, 36]
cells = ["exact", "ama4", "ama5"]
half_adders = ["cell"]
"""
OBJECTIVES = ("delay", "nmed")
BUDGET = 30
FILES = ["front.csv", *CONVERGENCE_FILES, *file_names([COLUMNS[name] for name in OBJECTIVES])]


def command(folder: Path, space: Path, *more: str) -> list[str]:
    options = ["--space", str(space), "--objectives", ",".join(OBJECTIVES), "--population", "8", "--seed", "5"]
    options += ["--budget", str(BUDGET), "--images", "20", "--attack-images", "4", "--out", str(folder), *more]
    return [sys.executable, "-m", "dse.search", *options]


def run(arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def read_front(folder: Path) -> list[dict[str, str]]:
    with (folder / "front.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "small.toml"
    path.write_text(SPACE)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, space: Path) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of an uninterrupted run by two workers, and what it printed."""
    folder = tmp_path_factory.mktemp("whole") / "new" / "run"
    done = run(command(folder, space, "--workers", "2"))
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.mark.slow
def test_a_search_writes_its_front_and_plots(whole: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = whole
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(
        [*FILES, "report.html", "run.json", "store.sqlite"]
    )
    assert (folder / "pareto_delay_nmed.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert "<svg" in (folder / "pareto_delay_nmed.svg").read_text()
    rows = read_front(folder)
    assert list(rows[0])[:5] == [
        "digest",
        "name",
        COLUMNS["delay"].header,
        "nmed [1]",
        "mred [1]",
    ]
    for row in rows:
        assert Design.from_toml(row["design"]).digest == row["digest"]
        for header in (COLUMNS["energy"].header, "accuracy_loss [pp]", "transfer_rate [%]"):
            assert float(row[header]) >= -100
    points = np.array([[float(value) for value in list(row.values())[2:4]] for row in rows])
    assert not any((np.all(a <= b) and np.any(a < b)) for a in points for b in points)
    assert done.stdout.startswith(
        "small: 2 topologies x 3 ports x 1 half-adder x 2 final-adder policies x 3 cells in each of 3 bands of 48 "
        "columns = 324 genomes\n"
    )
    for text in ("(reconstructed)", "axfpm_tiled", "45 nm, 1 V, 25 C", f"of {BUDGET} designs of space small, seed 5"):
        assert text in done.stdout
    assert "\x1b" not in done.stdout + done.stderr
    assert "\r" not in done.stderr
    assert f"designs scored: {BUDGET + 5} of {BUDGET + 5}" in done.stderr


@pytest.mark.slow
def test_a_finished_run_prints_its_result_from_the_store(
    whole: tuple[Path, subprocess.CompletedProcess[str]], space: Path
) -> None:
    folder, done = whole
    before = {name: (folder / name).stat().st_mtime_ns for name in FILES}
    again = run(command(folder, space, "--workers", "1"))
    assert again.returncode == 0
    assert "Everything was in the store" in again.stdout
    assert again.stdout.splitlines()[:-1] == done.stdout.splitlines()[:-1]
    assert {name: (folder / name).stat().st_mtime_ns for name in FILES} == before


@pytest.mark.slow
def test_lost_outputs_are_written_again(
    whole: tuple[Path, subprocess.CompletedProcess[str]], space: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole[0], tmp_path / "copy")
    (tmp_path / "copy" / "pareto_delay_nmed.png").unlink()
    assert run(command(tmp_path / "copy", space)).returncode == 0
    for name in FILES:
        assert (tmp_path / "copy" / name).read_bytes() == (whole[0] / name).read_bytes()


@pytest.mark.slow
def test_a_killed_search_continues_to_the_same_front(
    whole: tuple[Path, subprocess.CompletedProcess[str]], space: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        command(folder, space, "--workers", "2"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        # References and the first generation are stored, the second one is under way.
        while stored_designs(folder) < 16:
            assert process.poll() is None, "the search ended before it could be killed"
            time.sleep(0.01)
        children = [int(child) for child in _children(process.pid)]
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    left = stored_designs(folder)
    assert 16 <= left < BUDGET + 5
    assert not (folder / "front.csv").exists()
    deadline = time.monotonic() + 60
    while any(is_running(child) for child in children):
        assert time.monotonic() < deadline, "a worker outlived its parent"
        time.sleep(0.05)
    with Store(folder / "store.sqlite") as store:
        assert store.count() == left
    # One worker instead of two: the same front.
    resumed = run(command(folder, space, "--workers", "1"))
    assert resumed.returncode == 0, resumed.stderr
    for name in FILES:
        assert (folder / name).read_bytes() == (whole[0] / name).read_bytes()
    assert resumed.stdout.splitlines()[: -1 - _tail(resumed)] == whole[1].stdout.splitlines()[: -1 - _tail(whole[1])]


def _tail(done: subprocess.CompletedProcess[str]) -> int:
    """Lines from "Written to" on, which name the folder."""
    lines = done.stdout.splitlines()
    return len(lines) - next(k for k, line in enumerate(lines) if line.startswith("Written to"))


def _children(pid: int) -> list[str]:
    listing = Path(f"/proc/{pid}/task/{pid}/children")
    return listing.read_text().split() if listing.exists() else []


@pytest.mark.slow
def test_a_users_cell_takes_part_and_reaches_the_front(
    space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = tmp_path / "cells.toml"
    cells.write_text('[cells.lopsided]\nsum = "B"\ncarry = "A & ~B"\ntransistors = 2\n')
    out = tmp_path / "run"
    options = ["--space", str(space), "--cells", str(cells), "--objectives", "transistors", "--budget", "10"]
    options += ["--population", "8", "--images", "10", "--attack-images", "3", "--workers", "1", "--out", str(out)]
    assert search.main(options) == 0
    rows = read_front(out)
    cheapest = Design.from_toml(min(rows, key=lambda row: float(row["transistors [count]"]))["design"])
    assert {cell.name for cell in cheapest.placement.all_cells()} == {"lopsided"}
    assert '[cells.lopsided]\nsum = "00110011"\ncarry = "00001100"\ntransistors = 2\n' in rows[0]["design"]
    x, w = np.float32(0.856), np.float32(0.471)
    assert cheapest.multiply(x, w) != cheapest.multiply(w, x)
    printed = capsys.readouterr().out
    assert "lopsided everywhere" in printed
    assert "~: cost partly estimated, not characterised, for lopsided." in " ".join(printed.split())
    assert {row["estimated"] for row in rows} <= {"", "lopsided"}
    assert rows[0]["energy [fJ]"]


@pytest.mark.slow
def test_a_small_space_is_searched_exhaustively(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = tmp_path / "pair.toml"
    space.write_text(
        '[space]\ntopologies = ["ripple_array"]\nports = ["psc"]\nbands = [0, 40]\ncells = ["exact", "ama5"]\n'
    )
    out = tmp_path / "run"
    options = [
        "--space",
        str(space),
        "--objectives",
        "delay,nmed",
        "--images",
        "10",
        "--attack-images",
        "3",
        "--workers",
        "1",
    ]
    assert search.main([*options, "--out", str(out)]) == 0
    # 16 genomes; a ripple array has no final adder: 8 designs.
    assert "of 8 designs of space pair, seed 0" in capsys.readouterr().out


def toml(text: str) -> Callable[[Path], list[str]]:
    def arguments(folder: Path) -> list[str]:
        (folder / "input.toml").write_text(text)
        return [str(folder / "input.toml")]

    return arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objectives", "enrgy"], "error: unknown objective 'enrgy'; nearest: energy, image_energy."),
        (
            ["--objectives", "accurcy"],
            "error: unknown objective 'accurcy'; nearest: accuracy",
        ),
        (
            ["--objectives", "delay,energy,delay"],
            "error: objectives must be distinct, but got 'delay' twice; leave one out.",
        ),
        (
            ["--objectives", ","],
            "error: objectives must name at least one of nmed, mred, energy, delay, area, transistors, "
            "image_energy, layer_nmed, layer_mred, divergence, accuracy, accuracy_loss, signed_loss, transfer_rate, "
            "transfer_pgd, transfer_fgsm_smallest, margin_rate, margin_pgd, margin_fgsm_smallest, adaptive_robustness, "
            "but got none; choose some.",
        ),
        (["--constraint", "enrgy<=3"], "error: unknown column 'enrgy'; "),
        (
            ["--constraint", "energy<=3fJ"],
            "error: the bound of a constraint must be a finite number without a unit (energy is in fJ), but got '3fJ' "
            "in 'energy<=3fJ'; correct it.",
        ),
        (
            ["--workers", "2", "--dask", "tcp://127.0.0.1:1"],
            "error: --workers and --dask must not be given both: a Dask scheduler has its own workers; drop one.",
        ),
        (["--space", "aray"], "error: unknown space 'aray'; nearest: arrays, library."),
        (
            ["--budget", "0"],
            "error: argument --budget: it must be an integer from 1 to 10000000, but got '0'; "
            "see python -m dse.search --help",
        ),
        (
            ["--budget", "-5"],
            "error: argument --budget: it must be an integer from 1 to 10000000, but got '-5'; "
            "see python -m dse.search --help",
        ),
        (
            ["--population", "3"],
            "error: argument --population: it must be an integer from 4 to 10000, but got '3'; "
            "see python -m dse.search --help",
        ),
        (
            ["--images", "2001"],
            "error: --images must be at most 2,000, the test images in the package, but got 2,001; give fewer, or "
            "--data full.",
        ),
        (
            ["--workers", "none"],
            "error: argument --workers: it must be an integer from 1 to 1024, but got 'none'; "
            "see python -m dse.search --help",
        ),
        (["--bugdet", "3"], "error: unrecognized arguments: --bugdet 3; see python -m dse.search --help"),
        (
            ["--cells", "{folder}/none.toml"],
            "error: {folder}/none.toml must be a readable file, but: No such file or directory; check the path.",
        ),
        (
            ["--cells", "{folder}/short.toml"],
            "error: [cells.short] in {folder}/short.toml line 2: sum of cell 'short' must be 8 characters 0 or 1 for "
            "rows A B Cin = 000..111, but got '0110'; correct the truth table.",
        ),
        (
            ["--cells", "{folder}/reserved.toml"],
            "error: [cells.ama5] in {folder}/reserved.toml line 1 must not reuse the reserved name of a library cell, "
            "'ama5'; choose another.",
        ),
        (
            ["--space", "{folder}/topology.toml"],
            "error: [space] in {folder}/topology.toml: unknown topology 'tree'; ",
        ),
    ],
)
def test_mistakes_of_search_are_one_line_and_touch_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    (tmp_path / "short.toml").write_text('\n[cells.short]\nsum = "0110"\ncarry = "00010111"\n')
    (tmp_path / "reserved.toml").write_text('[cells.ama5]\nsum = "B"\ncarry = "A"\n')
    (tmp_path / "topology.toml").write_text('[space]\ntopologies = ["tree"]\n')
    filled = [argument.format(folder=tmp_path) for argument in arguments]
    assert exit_status([*filled, "--out", str(tmp_path / "run")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    expected = message.format(folder=tmp_path)
    # Where the library's names follow, only the line's beginning is fixed.
    assert printed.err.startswith(expected)
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def exit_status(arguments: list[str]) -> object:
    try:
        return search.main(arguments)
    except SystemExit as ended:
        return ended.code


def test_an_unwritable_folder_is_refused_before_any_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert search.main(["--out", str(tmp_path / "file" / "run")]) == 2
    assert capsys.readouterr() == (
        "",
        f"error: the output folder must be writable, but {tmp_path}/file/run is not (Not a directory); choose "
        "another.\n",
    )


def test_a_store_of_another_version_is_refused_and_fresh_sets_it_aside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "store.sqlite"
    Store(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    content = path.read_bytes()
    space = tmp_path / "one.toml"
    space.write_text('[space]\ntopologies = ["ripple_array"]\nports = ["psc"]\ncells = ["ama5"]\n')
    options = [
        "--space",
        str(space),
        "--objectives",
        "delay",
        "--images",
        "10",
        "--attack-images",
        "3",
        "--workers",
        "1",
    ]
    options += ["--out", str(tmp_path)]
    assert search.main(options) == 2
    assert capsys.readouterr().err == (
        f"error: the store {path} has schema version 99, but this version of the program reads 2; "
        "give another --out, or --fresh to start over (the old file is kept as store.sqlite.old).\n"
    )
    assert path.read_bytes() == content
    assert search.main([*options, "--fresh"]) == 0
    assert (tmp_path / "store.sqlite.old").read_bytes() == content
    # A single objective has a front and no plot.
    assert not list(tmp_path.glob("pareto_*"))
    path.write_bytes(path.read_bytes()[:5000])
    capsys.readouterr()
    assert search.main(options) == 2
    assert capsys.readouterr().err == (
        f"error: the store {path} is truncated or damaged (its 5000 bytes end within a page); restore "
        "it from a copy, or give --fresh to start over (the damaged file is kept as store.sqlite.old).\n"
    )


def test_help_explains_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for option in (
        "space",
        "cells",
        "objectives",
        "population",
        "budget",
        "seed",
        "images",
        "workers",
        "out",
        "fresh",
        "constraint",
        "dask",
        "asynchronous",
        "store",
        "attack-images",
    ):
        assert f"--{option}" in text
    options = text.split("options:")[1].split(" --")[1:]
    assert all("default" in option for option in options if not option.startswith("help")), options


def test_the_embedded_data_has_the_images_that_the_help_promises() -> None:
    from cnn_eval.data.loading import load

    assert len(load("mnist", "test")) == EMBEDDED_IMAGES


def test_plots_are_reproducible_and_name_the_references(tmp_path: Path) -> None:
    def row(name: str | None, energy: float, loss: float) -> ScoredDesign:
        cells = [CELLS["ama4"]] * int(energy) + [CELLS["ama5"]] * (48 - int(energy))
        scores = {"energy": energy, "accuracy_loss": loss}
        return ScoredDesign(Design(placement={"columns": cells}, name=name), scores, name is not None)

    rows = [row(None, 1 + n, 20 / (1 + n)) for n in range(10)]
    references = [row("a", 3, 30), row("b", 9, 12)]
    objectives = [COLUMNS["energy"], COLUMNS["accuracy_loss"]]
    one, other = (list(pareto_plots(rows, rows, references, objectives, title="title")) for _ in range(2))
    assert one == other
    assert [name for name, _ in one] == ["pareto_energy_accuracy_loss.png", "pareto_energy_accuracy_loss.svg"]
    assert json.dumps([len(content) > 1000 for _, content in one]) == "[true, true]"
