"""The engine's threads: every task runs once, errors reach the caller, each thread has memory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.engine.scratch import scratch_array
from circuits.engine.task_threads import Tasks, fastest_split, run_tasks, scratch_address, useful_threads


@pytest.mark.parametrize("threads", [1, 3])
def test_every_task_runs_once_with_its_arguments(threads: int) -> None:
    calls = []
    tasks = [(first, last) for first in range(5) for last in range(4)]
    run_tasks(lambda first, last: calls.append((first, last)), tasks, threads)
    assert sorted(calls) == tasks


def test_an_error_in_a_task_reaches_the_caller() -> None:
    with pytest.raises(ZeroDivisionError):
        run_tasks(lambda number: print(1 // number), [(1,), (0,)], 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_starts_threads_of_its_own() -> None:
    """The child inherits the pool without its threads, so that tasks given to it would wait for ever."""
    code = (
        "import os, warnings; from circuits.engine.task_threads import run_tasks;"
        "warnings.simplefilter('ignore');"
        "run_tasks(lambda n: None, [(1,), (2,)], 2);"
        "child = os.fork();"
        "child or (run_tasks(lambda n: None, [(1,), (2,)], 2), os._exit(7));"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "7\n"


def test_a_thread_keeps_its_scratch_and_shares_it_with_no_other() -> None:
    address = scratch_address(1000)
    assert address % 64 == 0
    assert scratch_address(500) == address
    array = scratch_array("test", (2, 3), np.float64)
    assert scratch_array("test", (2, 3), np.float64) is array
    assert scratch_array("test", (3, 2), np.float64).shape == (3, 2)
    assert scratch_array("test", (3, 2), np.uint32).dtype == np.uint32
    others = []
    thread = threading.Thread(
        target=lambda: others.extend([scratch_address(500), scratch_array("test", (3, 2), np.uint32)])
    )
    thread.start()
    thread.join()
    assert others[0] != address
    assert others[1] is not scratch_array("test", (3, 2), np.uint32)


def test_threads_are_not_woken_for_little_work() -> None:
    assert useful_threads(8, 1000) == 1
    assert useful_threads(8, 1 << 20) == 4
    assert useful_threads(2, 1 << 30) == 2


def test_the_caller_takes_tasks_too_and_no_thread_waits_for_a_share_of_its_own() -> None:
    """A long task must not hold up those behind it, which the other thread can take."""
    release, done = threading.Event(), []

    def task(number: int) -> None:
        if number == 0:
            assert release.wait(60)
        done.append((number, threading.current_thread() is threading.main_thread()))
        if len(done) == 7:
            release.set()

    run_tasks(task, [(number,) for number in range(8)], 2)
    assert [number for number, _ in done] == [1, 2, 3, 4, 5, 6, 7, 0]
    assert {in_caller for _, in_caller in done} == {True, False}


def test_no_task_begins_after_an_error() -> None:
    begun = []

    def task(number: int) -> None:
        begun.append(number)
        raise IndexError(number)

    with pytest.raises(IndexError):
        run_tasks(task, [(number,) for number in range(1000)], 2)
    assert len(begun) <= 2


def test_tasks_may_run_tasks() -> None:
    calls = []
    run_tasks(lambda outer: run_tasks(lambda inner: calls.append((outer, inner)), [(1,), (2,)], 2), [(1,), (2,)], 2)
    assert sorted(calls) == [(1, 1), (1, 2), (2, 1), (2, 2)]


def finished_after(tasks: Tasks, split: tuple[int, int], threads: int) -> float:
    """When the last thread is done, if each takes the next task as soon as it is done with one."""
    units, columns = split
    times = [
        (min(units, tasks.units - first) + tasks.unit_cost) * (min(columns, tasks.columns - column) + tasks.column_cost)
        for _ in range(tasks.copies)
        for first in range(0, tasks.units, units)
        for column in range(0, tasks.columns, columns)
    ]
    busy_until = [0.0] * threads
    for time in times:
        busy_until[busy_until.index(min(busy_until))] += time
    return max(busy_until)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.integers(1, 40), st.integers(1, 80), st.integers(1, 8), st.integers(1, 64), st.integers(1, 4), st.integers(1, 9)
)
def test_splits_keep_within_their_limits_and_are_no_slower_than_few_or_many_tasks(
    units: int, columns: int, most_units: int, most_columns: int, copies: int, threads: int
) -> None:
    tasks = Tasks(units, columns, most_units, most_columns, 0.5, 1.5, copies)
    split = fastest_split(tasks, threads)
    assert 1 <= split[0] <= min(units, most_units)
    assert 1 <= split[1] <= min(columns, most_columns)
    largest = min(units, most_units), min(columns, most_columns)
    bound = finished_after(tasks, largest, threads)
    # The last tasks of a row may be short, which `fastest_split` does not count on.
    assert finished_after(tasks, split, threads) <= 1.3 * bound


@pytest.mark.parametrize(
    ("tasks", "threads", "expected"),
    [
        (Tasks(4, 64, 8, 64, 0.5, 1.5), 1, (4, 64)),  # nothing is repeated on one thread
        (Tasks(4, 64, 8, 64, 0.5, 1.5), 2, (4, 32)),  # columns are cheaper to split than groups of blocks
        (Tasks(16, 16, 8, 16, 0.5, 1.5), 2, (8, 16)),
        (Tasks(20, 64, 8, 64, 0.5, 1.5), 2, (5, 64)),  # four tasks, not three
        (Tasks(1, 64, 1, 64, 0.05, 1.5), 2, (1, 32)),
        (Tasks(1, 64, 1, 64, 0.05, 1.5), 4, (1, 16)),
        (Tasks(3, 1, 8, 1, 0.5, 1.5), 2, (2, 1)),
        (Tasks(1, 10, 1, 10, 0.5, 1.5, 6), 2, (1, 10)),  # one task for each of six groups
    ],
)
def test_the_fastest_split_of_some_products(tasks: Tasks, threads: int, expected: tuple[int, int]) -> None:
    assert fastest_split(tasks, threads) == expected
