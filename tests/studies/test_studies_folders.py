"""Where studies write: never into an installed package; and what an interrupt leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from studies import STUDIES
from studies.commands import main, report
from studies.frame import study_runs
from studies.frame.result_folders import COMMITTED
from studies.page.results_page import unmarked

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages as an installation makes it, without the checkout's other files."""
    site = tmp_path_factory.mktemp("lib") / "site-packages"
    site.mkdir()
    for name in ("circuits", "cnn_eval", "dse"):
        (site / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "studies", site / "studies", ignore=shutil.ignore_patterns("RESULTS.*", "__pycache__"))
    return site


def studies(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "studies", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_an_installed_package_is_never_written(installed: Path, tmp_path: Path) -> None:
    package = installed / "studies"
    before = files(package)
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(package / "results" / "quick" / "table2.json", out)
    for options, folder, advice in (
        ([], package, "give --out FILE"),
        (["--out", str(package / "page.md")], package, "give --out FILE"),
        (["--results", str(out)], package / "results", "give --store DIR for results of your own"),
        (
            ["--results", str(out), "--out", "page.md"],
            package / "results",
            "give --store DIR for results of your own",
        ),
    ):
        done = studies(installed, tmp_path, "report", *options)
        assert done.returncode == 2
        assert done.stderr == (
            f"error: {folder} must not be written, since it belongs to the installed package; {advice}.\n"
        )
        assert files(package) == before
    assert not (tmp_path / "page.md").exists()
    done = studies(installed, tmp_path, "report", "--out", "page.md")
    assert done.returncode == 0, done.stderr
    # An installation cannot tell what is stale, and marks nothing.
    assert (tmp_path / "page.md").read_text() == unmarked((ROOT / "studies" / "RESULTS.md").read_text())
    done = studies(installed, tmp_path, "report", "--results", str(out), "--store", str(tmp_path / "own" / "results"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"1 of {len(STUDIES)} studies in {tmp_path / 'own' / 'RESULTS.md'}\n"
    assert files(package) == before


def test_a_checkout_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The default page is the checkout's, as the documentation says."""
    written: list[Path] = []
    monkeypatch.setattr(report, "write_atomically", lambda path, data: written.append(path))
    monkeypatch.setattr("studies.page.networks_picture.picture", lambda results: b"")  # drawing takes seconds
    assert main(["report"]) == 0
    assert written == [COMMITTED.parent / "RESULTS.png", COMMITTED.parent / "RESULTS.md"]


@pytest.mark.parametrize("option", ["folder", "models", "library"])
def test_a_wrong_folder_is_refused_before_any_study_is_imported(
    option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study_runs, "module_of", lambda name: pytest.fail("imported"))
    assert main(["run", "library", f"--{option}", "nowhere"]) == 2
    error = f"error: --{option} must name a folder, but nowhere is none; check the path.\n"
    assert capsys.readouterr().err == error


@pytest.mark.parametrize(
    ("options", "end"),
    [
        ([], "; the same command runs only the others"),
        (["--fresh"], "; the same command without --fresh runs only the others"),
        (["--models", "."], ""),
    ],
)
def test_ctrl_c_says_where_results_are(
    options: list[str],
    end: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(study_runs, "measure", interrupted)
    assert main(["run", "table2", "--quick", "--out", str(tmp_path / "out"), *options]) == 130
    assert capsys.readouterr().err == (
        f"error: interrupted; results of the studies that ended are in {tmp_path / 'out'}{end}\n"
    )
