"""The folder of a search: locks, read-only media, logs of removed stores, other spaces, interrupts, reports."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from running_searches import stored_designs, wait_for

from circuits import design
from dse import SCORERS, ScoreSettings, Store, plot, results, search
from dse.present.search_folder import LOCK_NAME
from dse.score.folder_lock import Lock, LockedError
from dse.score.store_file import move_aside

ROOT = Path(__file__).parents[3]
PATIENCE = 120.0
SPACE = """
[space]
ports = ["psc"]
bands = [0, 24]
cells = ["exact", "ama5"]
half_adders = ["cell"]
final_adders = ["exact"]
topologies = ["ripple_array"]
"""
OPTIONS = ["--objectives", "energy,nmed", "--budget", "6", "--images", "10", "--attack-images", "2", "--workers", "1"]
HOLD = """
import sys, time
from pathlib import Path
from dse.score.folder_lock import Lock
with Lock(Path(sys.argv[1]), what="it must be free", advice="wait", shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    time.sleep(100)
"""


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def only_error(text: str) -> str:
    """The one line of an error; progress may stand before it."""
    lines = [line for line in text.splitlines() if not line.startswith(("designs scored", "front completed"))]
    assert len(lines) == 1, text
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "small.toml"
    path.write_text(SPACE)
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, space: Path) -> Path:
    """The folder of a finished search; not to be changed."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    assert search.main(["--space", str(space), *OPTIONS, "--out", str(folder)]) == 0
    assert sorted(entry.name for entry in folder.iterdir()) == [
        "convergence.csv",
        "convergence.png",
        "convergence.svg",
        "front.csv",
        "pareto_energy_nmed.png",
        "pareto_energy_nmed.svg",
        "report.html",
        "run.json",
        "store.sqlite",
    ]
    return folder


# ---- locks


def hold(path: Path, how: str = "alone") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(path), how]
    holder = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def lock(path: Path, *, shared: bool = False) -> Lock:
    return Lock(path, what="it must be free", advice="wait", shared=shared)


def test_a_lock_names_its_owner_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with hold(path) as holder:
        with (
            pytest.raises(
                LockedError,
                match=rf"^it must be free, but process {holder.pid} on \S+ has been using it for \d+ s; wait\.$",
            ),
            lock(path),
        ):
            pass
        with pytest.raises(LockedError), lock(path, shared=True):
            pass
        holder.kill()
    assert path.exists()  # as kill -9 leaves it
    with lock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


def test_a_shared_lock_keeps_out_an_exclusive_one(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with hold(path, "shared") as holder:
        with lock(path, shared=True):
            pass
        assert path.exists()  # the other still has it
        with pytest.raises(LockedError), lock(path):
            pass
        holder.kill()
    with lock(path) as alone:
        with pytest.raises(LockedError), lock(path, shared=True):
            pass
        alone.share()
        with lock(path, shared=True):
            pass
    assert not path.exists()


def test_an_unreadable_lock_file_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    path.write_bytes(b"\xff{")
    with lock(path):
        path.write_bytes(b"\xff{")
        with (
            pytest.raises(LockedError, match=r"^it must be free, but another process is using it; wait\.$"),
            lock(path),
        ):
            pass


def test_a_second_search_is_refused_while_the_first_runs(
    space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    command = ["--space", str(space), *OPTIONS, "--out", str(out)]
    with hold(out / LOCK_NAME) as holder:
        assert search.main(command) == 2
        error = only_error(capsys.readouterr().err)
        assert error.startswith(f"error: --out {out} must belong to one search at a time, but process {holder.pid} on ")
        assert error.endswith(" s; wait for it, or give another --out.")
        holder.kill()
    assert not (out / "store.sqlite").exists()
    with hold(out / "store.sqlite.lock", "shared") as holder:
        (out / "store.sqlite").touch()
        assert search.main([*command, "--fresh"]) == 2
        error = only_error(capsys.readouterr().err)
        assert " must be used by no other search when --fresh sets it aside, but process " in error
        holder.kill()
    assert sorted(entry.name for entry in out.iterdir()) == ["store.sqlite", "store.sqlite.lock"]


# ---- read-only media


@pytest.fixture
def sealed(finished: Path) -> Iterator[Path]:
    """A copy of the finished search that its reader may not write."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        top.chmod(0o755)
        shutil.copytree(finished, top / "run")
        (top / "run").chmod(0o555)
        yield top / "run"
        (top / "run").chmod(0o755)


def as_reader(*arguments: str, scratch: Path) -> subprocess.CompletedProcess[str]:
    """Runs Python as somebody whom permissions bind: root reads and writes everything."""
    command = [sys.executable, *arguments]
    if os.geteuid() == 0:
        tool = shutil.which("setpriv")
        if tool is None:
            pytest.skip("root may write everything, and there is no setpriv")
        command = [tool, "--reuid=65534", "--regid=65534", "--clear-groups", *command]
        probe = subprocess.run(
            [*command[: -len(arguments)], "-c", "import dse"], env=environment(), check=False, cwd="/"
        )
        if probe.returncode:
            pytest.skip("another user cannot read this checkout")
    places = {"MPLCONFIGDIR": str(scratch), "HOME": str(scratch), "NUMBA_CACHE_DIR": str(scratch)}
    return subprocess.run(
        command, env={**environment(), **places}, capture_output=True, text=True, check=False, cwd=scratch
    )


@pytest.fixture
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


@pytest.mark.slow
def test_a_finished_run_is_read_where_nothing_may_be_written(
    sealed: Path, space: Path, scratch: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(sealed.iterdir())
    assert results.main(["show", "last", "--store", str(sealed)]) == 0
    expected = capsys.readouterr().out
    for arguments in (["list"], ["show", "last"], ["export", "last"], ["report", "last", "-o", "page.html"]):
        done = as_reader("-m", "dse.results", *arguments, "--store", str(sealed), scratch=scratch)
        assert (done.returncode, done.stderr) == (0, "")
        if arguments[0] == "show":
            assert done.stdout == expected
    assert (scratch / "page.html").read_bytes() == (sealed / "report.html").read_bytes()
    done = as_reader("-m", "dse.plot", "last", "--store", str(sealed), "--out", "plots", scratch=scratch)
    assert done.returncode == 0, done.stderr
    assert (scratch / "plots" / "pareto_energy_nmed.svg").exists()
    done = as_reader(
        "-m", "dse.search", "--space", readable(space, scratch), *OPTIONS, "--out", str(sealed), scratch=scratch
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"note: {sealed} may not be written, so this is what the store holds\n"
    assert done.stdout.startswith(expected)
    assert sorted(sealed.iterdir()) == before
    other = ["--space", readable(space, scratch), *OPTIONS, "--seed", "8", "--out", str(sealed)]
    done = as_reader("-m", "dse.search", *other, scratch=scratch)
    assert done.returncode == 2
    assert only_error(done.stderr).startswith(f"error: the output folder must be writable, but {sealed} is not ")


def readable(space: Path, scratch: Path) -> str:
    path = scratch / space.name
    path.write_bytes(space.read_bytes())
    path.chmod(0o644)
    return str(path)


def test_a_log_that_cannot_be_opened_is_named(sealed: Path, scratch: Path) -> None:
    """Scores that a killed search left in the log must not be overlooked."""
    sealed.chmod(0o755)
    path = sealed / "store.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("INSERT INTO settings VALUES ('0', 'x', '{}')")
        connection.commit()
        log = (sealed / "store.sqlite-wal").read_bytes()
    (sealed / "store.sqlite-wal").write_bytes(log)
    sealed.chmod(0o555)
    done = as_reader("-m", "dse.results", "list", "--store", str(sealed), scratch=scratch)
    assert done.returncode == 2
    error = only_error(done.stderr)
    assert f"{path} must be readable with its log store.sqlite-wal, but may not be written here (" in error
    assert error.endswith("; copy both files to a folder of yours and give that as --store.")
    copy = scratch / "copy"
    copy.mkdir(mode=0o777)
    copy.chmod(0o777)
    for name in ("store.sqlite", "store.sqlite-wal"):
        shutil.copy(sealed / name, copy / name)
        (copy / name).chmod(0o666)
    done = as_reader("-m", "dse.results", "list", "--store", str(copy), scratch=scratch)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_read_only_store_refuses_to_be_written(finished: Path) -> None:
    with Store(finished / "store.sqlite", read_only=True) as store:
        assert store.count() > 0
        (record,) = store.runs()
        assert store.members(record.run)
        with pytest.raises(OSError, match=r"must be writable, but: attempt to write a readonly database"):
            store.begin({"seed": 2})
    assert not list(finished.glob("store.sqlite-*"))


def test_a_new_output_folder_gets_the_files_of_a_run_that_is_stored(
    finished: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store.sqlite"
    shutil.copy(finished / "store.sqlite", store)
    out = tmp_path / "new" / "run"
    assert search.main(["--space", str(space), *OPTIONS, "--store", str(store), "--out", str(out)]) == 0
    assert "Everything was in the store" in capsys.readouterr().out
    assert (out / "front.csv").read_bytes() == (finished / "front.csv").read_bytes()
    assert (out / "report.html").read_bytes() == (finished / "report.html").read_bytes()


# ---- what a removed store leaves


def test_logs_of_a_removed_store_are_set_aside(tmp_path: Path) -> None:
    path, twin = tmp_path / "store.sqlite", tmp_path / "twin.sqlite"
    error = SCORERS["error"]
    with Store(path) as store:
        store.put(design("axfpm"), {"error": {"nmed": 1.0}}, [error], ScoreSettings())
        names = ("-wal", "-shm")
        left = {name: path.with_name(path.name + name).read_bytes() for name in names}
    assert left["-wal"]
    path.unlink()
    for number in ("", "1"):
        for name, content in left.items():
            path.with_name(path.name + name).write_bytes(content)
        with Store(path) as store:
            expected = [f"store.sqlite-wal.old{number}", f"store.sqlite-shm.old{number}"]
            assert [entry.name for entry in store.set_aside] == expected
            assert store.count() == 0
            assert store.get(design("axfpm").digest, error, error.settings_hash(ScoreSettings())) is None
        path.unlink()
    assert (tmp_path / "store.sqlite-wal.old").read_bytes() == left["-wal"]
    assert (tmp_path / "store.sqlite-wal.old1").read_bytes() == left["-wal"]
    with Store(twin) as store:
        assert store.set_aside == ()


def test_fresh_without_a_store_keeps_the_older_one(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with Store(path):
        pass
    move_aside(path)
    before = (tmp_path / "store.sqlite.old").read_bytes()
    move_aside(path)
    assert (tmp_path / "store.sqlite.old").read_bytes() == before


@pytest.mark.slow
def test_a_search_says_that_it_set_logs_aside(
    space: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "store.sqlite-wal").write_bytes(b"something")
    assert search.main(["--space", str(space), *OPTIONS, "--out", str(out)]) == 0
    path = out / "store.sqlite"
    assert f"note: {path} was gone, but not its log, which is now {path}-wal.old\n" in capsys.readouterr().err
    assert (out / "store.sqlite-wal.old").read_bytes() == b"something"
    assert (out / "front.csv").read_bytes() == (finished / "front.csv").read_bytes()


# ---- another space


def test_an_output_folder_of_another_space_is_refused(
    finished: Path, space: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    other = tmp_path / "other.toml"
    other.write_text(SPACE.replace("[0, 24]", "[0, 12, 24]"))
    before = (out / "front.csv").read_bytes()
    for record in ("run.json", None):  # a finished search, then what only its store tells
        assert search.main(["--space", str(other), *OPTIONS, "--out", str(out)]) == 2
        assert only_error(capsys.readouterr().err) == (
            f"error: --out {out} must be of this search's space 'other', but holds a search of space 'small' "
            "(bands 0 24 there, 0 12 24 here); give another --out, or --fresh to start over."
        )
        if record:
            (out / record).unlink()
    assert (out / "front.csv").read_bytes() == before
    renamed = tmp_path / "renamed.toml"
    renamed.write_text(SPACE)
    shutil.copy(finished / "run.json", out)
    search_again = ["--objectives", "energy,nmed", "--budget", "6", "--images", "10", "--attack-images", "2"]
    assert search.main(["--space", str(renamed), *search_again, "--workers", "1", "--out", str(out)]) == 0
    dearer = tmp_path / "dearer.toml"
    dearer.write_text('[cells.mine]\nsum = "00110011"\ncarry = "00001111"\ntransistors = 9\n')
    assert search.main(["--space", str(space), "--cells", str(dearer), *OPTIONS, "--out", str(out)]) == 2
    assert "(cells exact ama5 there, exact ama5 mine here)" in only_error(capsys.readouterr().err)


# ---- reports of stored runs


@pytest.mark.slow
def test_a_report_is_written_again_from_the_store(
    finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert results.main(["report", "last", "--store", str(finished)]) == 0
    (record,) = json.loads(json.dumps([entry.run for entry in _runs(finished)]))
    assert capsys.readouterr().out == f"report of run {record[:10]} written to report.html\n"
    assert (tmp_path / "report.html").read_bytes() == (finished / "report.html").read_bytes()
    assert results.main(["report", record[:8], "--store", str(finished), "-o", "new/page.html"]) == 0
    assert (tmp_path / "new" / "page.html").exists()
    assert results.main(["report", "nosuch", "--store", str(finished)]) == 2
    assert only_error(capsys.readouterr().err).startswith("error: no run in ")
    assert plot.main(["last", "--store", str(finished), "--out", "plots"]) == 0


def _runs(folder: Path) -> list[object]:
    with Store(folder / "store.sqlite", read_only=True) as store:
        return list(store.runs())


# ---- narrow terminals


@pytest.mark.parametrize("width", [80, 60, 40])
@pytest.mark.parametrize("command", [["show", "last"], ["list"]])
def test_a_narrow_terminal_drops_no_column(
    command: list[str],
    width: int,
    finished: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = []
    for columns in (200, width):
        monkeypatch.setenv("COLUMNS", str(columns))
        assert results.main([*command, "--store", str(finished)]) == 0
        out = capsys.readouterr().out
        assert max(map(len, out.splitlines())) <= columns
        words.append({word for word in re.findall(r"[^\s_]+", out) if not word.startswith("─")})
    assert words[0] == words[1]
    if command[0] == "show":
        assert {"exact", "heap", "(reconstructed)", "axfpm", "tiled", "bfloat16", "x1.2", "robust"} <= words[1]


# ---- interrupts


@pytest.mark.slow
def test_ctrl_c_says_where_the_scores_are_and_the_same_command_continues(
    space: Path, finished: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "dse.search", "--space", str(space), *OPTIONS, "--out", str(out)]
    command[command.index("--workers") + 1] = "2"

    for more, again in ((["--fresh"], "the same command without --fresh"), ([], "the same command")):
        with subprocess.Popen(
            [*command, *more], env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            start_new_session=True,
        ) as running:  # fmt: skip
            enough = min(stored_designs(out), 5) + 1
            wait_for(
                lambda running=running, enough=enough: stored_designs(out) >= enough or running.poll() is not None,
                PATIENCE,
            )
            os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to the workers, too
            _, complaint = running.communicate()
        if running.returncode == 0:
            continue  # It had ended.
        assert running.returncode == 130, complaint
        error = only_error(complaint)
        assert error == (
            f"error: interrupted; {stored_designs(out)} designs have their scores in {out / 'store.sqlite'}: {again} "
            "continues the search"
        )
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert (out / "front.csv").read_bytes() == (finished / "front.csv").read_bytes()
