"""Measures how many designs a search scores per second on one thread. Part of the throughput study."""

from __future__ import annotations

import time
from collections.abc import Sequence

from cnn_eval.support.thread_limits import torch_threads
from dse.score.scorers import SCORERS
from dse.score.scorers.scorer import ScoreSettings
from dse.space.per_layer import Candidate
from dse.space.search_space import SPACES
from studies.frame.study import Row

_STEPS = (
    ("cheap scores (error, cost)", ("error", "cost")),
    ("with accuracy on 500 images", ("error", "cost", "accuracy")),
    ("with transfer as well", ("error", "cost", "accuracy", "transfer")),
)


def rows(count: int = 6) -> list[Row]:
    """Returns designs per second of thread CPU time, over `count` random designs that are new to the process."""
    settings = ScoreSettings(images=500)
    space = SPACES["arrays"]
    designs = [space.decode(genome) for genome in space.sample(1, count + 1)]
    with torch_threads(1):
        _seconds(designs[:1], settings)  # loads data, weights and the compiler
        seconds_by_scorer = _seconds(designs[1:], settings)
    speeds = []
    for name, scorers in _STEPS:
        seconds = sum(seconds_by_scorer[scorer] for scorer in scorers)
        speeds.append(Row("search, a thread", name, count / seconds, unit="designs/s"))
    return speeds


def _seconds(designs: Sequence[Candidate], settings: ScoreSettings) -> dict[str, float]:
    """Returns the thread CPU time of each scorer, summed over the designs."""
    seconds_by_scorer = dict.fromkeys(_STEPS[-1][1], 0.0)
    for design in designs:
        for name in seconds_by_scorer:
            start = time.thread_time()
            SCORERS[name].measure(design, settings)
            seconds_by_scorer[name] += time.thread_time() - start
    return seconds_by_scorer
