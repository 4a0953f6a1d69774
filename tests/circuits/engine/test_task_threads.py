"""The engine's threads: every task runs once, errors reach the caller, each thread has memory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from circuits.engine.scratch import scratch_array
from circuits.engine.task_threads import run_tasks, scratch_address, useful_threads


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
