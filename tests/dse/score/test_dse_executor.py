"""The executor of worker processes: order, exceptions, dying workers; and fronts against their definition."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from running_searches import is_running

from dse import Processes
from dse.explore.front import non_dominated
from dse.score.executor import TaskOutcome

ROOT = Path(__file__).parents[3]


def slow_square(task: int) -> int:
    time.sleep(0.05 if task % 2 else 0)
    if task < 0:
        raise ValueError(f"task must be at least 0,\nbut got {task}")
    return task * task


def die(task: tuple[Path, int, str]) -> str:
    """Kills its own process as often as the task says; attempts are counted in files."""
    folder, deaths, name = task
    attempts = len(list(folder.glob(f"{name}.*")))
    (folder / f"{name}.{attempts}").touch()
    if attempts < deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return name


@pytest.mark.parametrize("workers", [1, 2])
def test_outcomes_come_in_the_order_of_the_tasks(workers: int) -> None:
    tasks = [3, 0, -5, 4, 1]
    done: list[int] = []
    with Processes(slow_square, workers) as executor:
        outcomes = executor.run(tasks, lambda index, outcome: done.append(index))
        assert executor.run([]) == []
        assert executor.run([7]) == [TaskOutcome(49)]
    assert outcomes == [
        TaskOutcome(9),
        TaskOutcome(0),
        TaskOutcome(None, "task must be at least 0, but got -5"),
        TaskOutcome(16),
        TaskOutcome(1),
    ]
    assert sorted(done) == [0, 1, 2, 3, 4]


def test_a_dying_worker_costs_its_own_task_only(tmp_path: Path) -> None:
    tasks = [(tmp_path, deaths, f"task{number}") for number, deaths in enumerate([0, 1, 0, 9, 0])]
    with Processes(die, 2) as executor:
        outcomes = executor.run(tasks)
    assert outcomes == [
        TaskOutcome("task0"),
        TaskOutcome("task1"),
        TaskOutcome("task2"),
        TaskOutcome(None, "its worker process died 2 times (signal 9)"),
        TaskOutcome("task4"),
    ]


def test_ctrl_c_never_reaches_a_worker_not_even_while_it_starts() -> None:
    with Processes(slow_square, 2) as executor:
        executor.start()
        before = [worker.process.pid for worker in executor._pool]
        for process in before:
            assert process is not None
            os.kill(process, signal.SIGINT)
        assert executor.run([2, 3]) == [TaskOutcome(4), TaskOutcome(9)]
        assert [worker.process.pid for worker in executor._pool] == before


PARENT = """
import sys, threading
from dse.score.executor import Processes
from test_dse_executor import busy
def work():
    with Processes(busy, 2) as executor:
        executor.run([(sys.argv[1], how) for how in ("sleeps", "computes")])
if sys.argv[2] == "main":
    work()
else:
    threading.Thread(target=work).start()
"""


def busy(task: tuple[str, str]) -> None:
    """Leaves its process's number, then works on for much longer than any test."""
    folder, how = task
    (Path(folder) / f"{how}.{os.getpid()}").touch()
    end = time.monotonic() + 600
    while time.monotonic() < end:
        if how == "sleeps":
            time.sleep(600)


@pytest.mark.parametrize("thread", ["main", "another"])
def test_workers_end_when_their_parent_is_killed(thread: str, tmp_path: Path) -> None:
    """Linux signals the workers of the main thread; for those of another thread the signal would come when it ends."""
    places = os.pathsep.join(
        str(place) for place in (ROOT, Path(__file__).parent, ROOT / "tests" / "support" / "searches")
    )
    command = [sys.executable, "-c", PARENT, str(tmp_path), thread]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": places}) as parent:
        deadline = time.monotonic() + 120
        while len(list(tmp_path.iterdir())) < 2:
            assert time.monotonic() < deadline
            assert parent.poll() is None, "the parent ended by itself"
            time.sleep(0.05)
        workers = [int(entry.name.split(".")[1]) for entry in tmp_path.iterdir()]
        assert all(is_running(worker) for worker in workers)
        parent.kill()
    deadline = time.monotonic() + 5
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < deadline, "a worker outlives its parent"
        time.sleep(0.05)


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=30))
def test_the_front_is_what_no_point_dominates(points: list[tuple[int, ...]]) -> None:
    def dominates(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and a != b

    expected = [not any(dominates(other, point) for other in points) for point in points]
    assert list(non_dominated(np.array(points).reshape(-1, 3))) == expected
