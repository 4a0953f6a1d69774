"""The Dask executor on a real scheduler with two workers on loopback, one of which is killed at work."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_searches import stored_designs, wait_for

from circuits import DesignError
from dse.score.executor import TaskOutcome

pytest.importorskip("distributed", reason="needs the extra `dask`")

from dse.score.dask_executor import Dask

ROOT = Path(__file__).parents[3]
PATIENCE = 600.0
SUPPORT = ROOT / "tests" / "support"
IMPORTED = os.pathsep.join(map(str, (ROOT, Path(__file__).parent, SUPPORT, SUPPORT / "searches")))
"""Where workers find this module and a user's network."""
SPACE = """
[space]
ports = ["psc", "scp", "csp"]
bands = [0, 24, 36]
cells = ["exact", "ama4", "ama5"]
half_adders = ["cell"]
"""


class Cluster:
    """A scheduler and its workers, each a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "scheduler.json"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._run(
            "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"
        )
        wait_for(self._file.exists, PATIENCE)

    def _run(self, module: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, "--scheduler-file", str(self._file), *options]
        environment = {**os.environ, "PYTHONPATH": IMPORTED, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command, cwd=self._folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._processes.append(process)
        return process

    def worker(self) -> subprocess.Popen[bytes]:
        options = ["--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard"]
        return self._run("distributed.cli.dask_worker", *options)

    @property
    def address(self) -> str:
        import json

        return str(json.loads(self._file.read_text())["address"])

    def close(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    running = Cluster(tmp_path)
    yield running
    running.close()


def slow(task: tuple[str, int]) -> int:
    """Squares the number, slowly; leaves a file named after number and process in the folder."""
    folder, number = task
    (Path(folder) / f"began.{number}.{os.getpid()}").touch()
    time.sleep(0.4)
    if number == 5:
        raise ValueError("task must not be 5,\nbut is")
    return number * number


@pytest.mark.slow
def test_a_killed_worker_costs_only_the_time_of_its_task(cluster: Cluster, tmp_path: Path) -> None:
    first = cluster.worker()
    waited: list[bool] = []
    with Dask(slow, cluster.address, waiting=lambda: waited.append(True)) as executor:

        def disturb() -> None:
            wait_for(lambda: list(tmp_path.glob(f"began.*.{first.pid}")), PATIENCE)
            cluster.worker()  # One comes, ...
            first.send_signal(signal.SIGKILL)  # ... the other is killed at work.

        thread = threading.Thread(target=disturb)
        thread.start()
        outcomes = executor.run([(str(tmp_path), number) for number in range(8)])
        thread.join()
    expected = [TaskOutcome(number * number) for number in range(8)]
    expected[5] = TaskOutcome(None, "task must not be 5, but is")
    assert outcomes == expected
    began = [entry.name.split(".") for entry in tmp_path.glob("began.*")]
    assert len({pid for _, _, pid in began}) == 2
    # Only what the killed worker held was started again.
    assert 8 < len(began) <= 8 + 2


@pytest.mark.slow
def test_an_address_that_nobody_answers_is_refused() -> None:
    with pytest.raises(
        OSError, match=r"^a Dask scheduler must answer at 'tcp://127\.0\.0\.1:9', but none does; start "
    ):
        Dask(slow, "tcp://127.0.0.1:9")
    with pytest.raises(DesignError, match=r"^the address of a Dask scheduler must be valid, but got 'nix://a:b:c' "):
        Dask(slow, "nix://a:b:c")


def run(folder: Path, space: Path, *more: str) -> subprocess.Popen[str]:
    options = ["--space", str(space), "--objectives", "delay,nmed", "--population", "8", "--seed", "5"]
    options += ["--budget", "16", "--images", "10", "--attack-images", "2", "--out", str(folder), *more]
    return subprocess.Popen(
        [sys.executable, "-m", "dse.search", *options],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_the_front_does_not_depend_on_who_scores_the_designs(cluster: Cluster, tmp_path: Path) -> None:
    """One worker, two workers, and Dask with a worker killed in between."""
    space = tmp_path / "small.toml"
    space.write_text(SPACE)
    victim = cluster.worker()
    cluster.worker()
    with run(tmp_path / "dask", space, "--dask", cluster.address) as search:
        # The references are scored, the first generation is under way.
        wait_for(lambda: stored_designs(tmp_path / "dask") >= 8 or search.poll() is not None, PATIENCE)
        victim.send_signal(signal.SIGKILL)
        _, complaint = search.communicate()
    assert search.returncode == 0, complaint
    for workers in ("1", "2"):
        with run(tmp_path / workers, space, "--workers", workers) as search:
            _, complaint = search.communicate()
        assert search.returncode == 0, complaint
    fronts = {name: (tmp_path / name / "front.csv").read_bytes() for name in ("dask", "1", "2")}
    assert fronts["dask"] == fronts["1"] == fronts["2"]
    assert len(fronts["1"].splitlines()) > 3


@pytest.mark.slow
def test_workers_score_a_users_network_as_this_process_does(cluster: Cluster, tmp_path: Path) -> None:
    """Workers build the network from its module and read the images where they are."""
    from small_network import write_images

    data = write_images(tmp_path / "mine.npz")
    space = tmp_path / "layers.toml"
    space.write_text('[space]\nlibrary = ["exact", "s8_mae0.9", "s8_mae1.8"]\nlayers = ["0", "5"]\n')
    cluster.worker()
    options = ["--space", str(space), "--model", "small_network:small", "--data", str(data), "--quantize", "int8"]
    options += ["--calibration-images", "40", "--objectives", "image_energy,accuracy_loss", "--attack-images", "0"]
    environment = {**os.environ, "PYTHONPATH": IMPORTED}
    for name, *where in (("dask", "--dask", cluster.address), ("here", "--workers", "1")):
        command = [sys.executable, "-m", "dse.search", *options, "--out", str(tmp_path / name), *where]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    fronts = [(tmp_path / name / "front.csv").read_bytes() for name in ("dask", "here")]
    assert fronts[0] == fronts[1]
    assert len(fronts[0].splitlines()) > 2


@pytest.mark.slow
def test_a_scheduler_that_dies_ends_the_search_in_one_line(cluster: Cluster, tmp_path: Path) -> None:
    """The same command then continues, with another scheduler or none."""
    space = tmp_path / "small.toml"
    space.write_text(SPACE)
    cluster.worker()
    folder = tmp_path / "run"
    with run(folder, space, "--dask", cluster.address) as search:
        wait_for(lambda: stored_designs(folder) >= 8 or search.poll() is not None, PATIENCE)
        cluster.scheduler.kill()
        _, complaint = search.communicate(timeout=PATIENCE)
    assert search.returncode == 2, complaint
    *progress, error = complaint.splitlines()
    assert all(line.startswith("designs scored: ") for line in progress), complaint
    assert re.fullmatch(
        rf"error: the Dask scheduler at {re.escape(cluster.address)} must stay, but is gone \([^\n]*\); start it and "
        rf"its workers again; {stored_designs(folder)} designs have their scores in "
        rf"{re.escape(str(folder))}/store\.sqlite: the same command continues the search",
        error,
    )
    with run(folder, space, "--workers", "1") as search:
        _, complaint = search.communicate()
    assert search.returncode == 0, complaint
