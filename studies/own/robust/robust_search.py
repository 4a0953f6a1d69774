"""Own study: is there any design whose network resists an adaptive attacker better than the exact network?

Designs of all groups are searched with PGD through every gradient that they have; the score is the robust accuracy less
that of the exact network on the same images, the mean over the search networks. A design that is surely worse on the
first network is not measured on the others. The best ones are audited with APGD-CE, APGD-T and Square on other images
and on all networks. Every pair of a design and a network is one test, McNemar's, and Holm's correction covers them all;
a design counts if it wins on at least all networks but one.

The search chooses the best of many by chance as well: only the audit, on images that no search has seen, is evidence.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import torch

from circuits.support.cli import say
from circuits.support.statistics import holm, mcnemar
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.measure.network_accuracy import load_test_images
from cnn_eval.measure.robustness import AdaptiveAttack
from cnn_eval.models.registry import weights_record
from dse.space.per_layer import Candidate
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.own.networks.several_networks import NETWORKS
from studies.own.robust.resistance import audited, searched, smallest_visible_gain
from studies.own.robust.robust_candidates import candidates
from studies.rows.over_networks import RECORD, Bits, Claimed, Found, Measured, changed, found_on_each, rows_of

TITLE = "whether any design resists an adaptive attacker better than the exact network, over LeNet-5s"
SOURCE = "own; DA abstract"
TOLERANCE = 0.1
LESS_EXACT = "robust accuracy, less exact"
LEVEL = 0.05
"""Level of the tests, after Holm's correction over all of them."""
_CHUNK = 20
"""Designs whose scores are kept together by a run that may be killed."""
_TIMED = 8
"""Images on which one design of each group is timed, for the estimate of hours."""


@dataclass(frozen=True)
class Size:
    """What a level runs: `designs` on `searched` images of the first `networks`, the `best` audited on `other` images
    of the first `audit_networks`."""

    designs: int
    networks: int
    searched: int
    attack: AdaptiveAttack
    best: int
    audit_networks: int
    other: int
    audit: AuditSettings


SIZES = MappingProxyType(
    {
        "quick": Size(
            30, 2, 24, AdaptiveAttack(steps=5), 3, 3, 100, AuditSettings(epsilon=0.1, apgd_steps=5, queries=50)
        ),
        "default": Size(
            200, 2, 100, AdaptiveAttack(steps=10), 5, 5, 200, AuditSettings(epsilon=0.1, apgd_steps=25, queries=500)
        ),
        "full": Size(3000, 3, 500, AdaptiveAttack(steps=20), 20, 5, 1000, AuditSettings(epsilon=0.1)),
    }
)


def run(options: StudyOptions) -> StudyResult:
    """Searches, then audits; says on standard error how long it will take."""
    size = SIZES[options.level]
    images, labels = load_test_images(model=NETWORKS[0], data="embedded", folder=None)
    data = images[: size.searched], labels[: size.searched]
    end = size.searched + size.other
    other = images[size.searched : end], labels[size.searched : end]
    designs = candidates(size.designs, seed=0)
    _estimate(designs, data, size)
    scores = _search(options, designs, data, size)
    best = best_of(scores, size.best)

    def measure(name: str) -> Found:
        exact = audited(None, name, *other, settings=size.audit)
        return {
            (title(number, designs), LESS_EXACT): changed(
                audited(designs[number][1], name, *other, settings=size.audit), exact
            )
            for number in best
        }

    found = found_on_each(options, NETWORKS[: size.audit_networks], measure)
    rows, reason = conclude(found, size)
    return StudyResult(
        [*_groups(designs, scores), *rows],
        "measured",
        f"{len(designs):,} designs were searched on {size.searched} images and {counted(size.networks, 'network')}; "
        f"{reason}",
        {
            "networks": {name: weights_record(name)["sha256"] for name in NETWORKS[: size.audit_networks]},
            "level": options.level,
            "designs": len(designs),
            "search": {"networks": size.networks, "images": size.searched, **vars(size.attack)},
            "audit": {"designs": len(best), "images": size.other, **vars(size.audit)},
            "significance": LEVEL,
            "bootstrap": RECORD,
            "seed": 0,
        },
    )


def counted(count: int, what: str) -> str:
    """The number with its noun, in the plural where it must be."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def title(number: int, designs: Sequence[tuple[str, Candidate]]) -> str:
    """What rows call a design: its group, number and label."""
    group, candidate = designs[number]
    return f"{group}, design {number}: {candidate.label}"


def _estimate(designs: Sequence[tuple[str, Candidate]], data: tuple[torch.Tensor, torch.Tensor], size: Size) -> None:
    """Times one design of each group on a few images and says about how long the whole will take, on one core."""
    few = tuple(each[:_TIMED] for each in data)
    groups = dict(reversed(designs))
    began = time.thread_time()
    robust = [searched(candidate, NETWORKS[0], few[0], few[1], size.attack) for candidate in groups.values()]
    each = (time.thread_time() - began) / len(groups) / len(few[0])
    # Per image, APGD-CE, APGD-T towards 9 classes and Square evaluate the network so many times as often as the search;
    # images that are fooled are soon left alone.
    harder = (10 * size.audit.apgd_steps + size.audit.queries) / size.attack.steps * float(np.mean(robust))
    images = len(designs) * size.networks * size.searched
    images += round(size.best * size.audit_networks * size.other * max(1.0, harder))
    say(f"robust_search: about {each * images / 3600:.2g} hours on one core", file=sys.stderr)


def _search(
    options: StudyOptions, designs: Sequence[tuple[str, Candidate]], data: tuple[torch.Tensor, torch.Tensor], size: Size
) -> list[Row]:
    """A row for each design with its score, in the order of the designs."""
    exact = {
        name: searched(None, name, *data, attack=size.attack) for name in NETWORKS[: size.networks]
    }  # of the float network
    rows: list[Row] = []
    for first in range(0, len(designs), _CHUNK):
        numbers = range(first, min(first + _CHUNK, len(designs)))

        def measure(numbers: range) -> list[Row]:
            return [_score(number, designs[number][1], exact, data, size) for number in numbers]

        rows += options.part(f"designs from {first}", partial(measure, numbers))
    return rows


def _score(
    number: int,
    candidate: Candidate,
    exact: dict[str, Bits],
    data: tuple[torch.Tensor, torch.Tensor],
    size: Size,
) -> Row:
    """The mean difference to exact over the search networks; of the first alone where that is surely below 0."""
    differences: list[Measured] = []
    for name, reference in exact.items():
        differences.append(changed(searched(candidate, name, *data, attack=size.attack), reference))
        interval = differences[-1].interval
        if interval is not None and interval[1] < 0:
            break
    mean = float(np.mean([difference.mean for difference in differences]))
    stopped = "surely worse" if len(differences) < len(exact) else "on all search networks"
    return Row(str(number), "search score", mean, None, differences[0].interval, "points", stopped)


def best_of(scores: Sequence[Row], count: int) -> list[int]:
    """The numbers of the `count` designs with the best scores, those measured on all search networks first."""
    order = sorted(scores, key=lambda row: (row.remark == "surely worse", -row.measured, int(row.subject)))
    return [int(row.subject) for row in order[:count]]


def _groups(designs: Sequence[tuple[str, Candidate]], scores: Sequence[Row]) -> list[Row]:
    """For each group how many designs were searched, and their best and median scores."""
    rows = []
    for group in dict.fromkeys(name for name, _ in designs):
        own = [score.measured for (name, _), score in zip(designs, scores, strict=True) if name == group]
        rows += [
            Row(group, "designs searched", len(own), unit="designs"),
            Row(group, "best search score", max(own), unit="points", remark="chosen from many: no evidence"),
            Row(group, "median search score", float(np.median(own)), unit="points"),
        ]
    return rows


def conclude(found: dict[str, Found], size: Size) -> tuple[list[Row], str]:
    """The rows of the audited designs, and in words which of them win where, and what gain would have been seen."""
    tests = [(network, subject, measured) for network, own in found.items() for (subject, _), measured in own.items()]
    p_values = [mcnemar(int((m.values > 0).sum()), int((m.values < 0).sum())) for _, _, m in tests]
    wins: dict[str, int] = {subject: 0 for _, subject, _ in tests}
    for (_, subject, measured), p in zip(tests, holm(p_values), strict=True):
        wins[subject] += measured.mean > 0 and p < LEVEL
    needed = max(1, len(found) - 1)
    rows = rows_of(found, Claimed(limit=lambda victim, quantity: 0.0))
    rows += [
        Row(subject, f"wins, Holm over {len(tests)} tests", count, unit="networks") for subject, count in wins.items()
    ]
    differing = float(np.mean([(m.values != 0).mean() for _, _, m in tests]))
    # Holm's first step asks this of the smallest p; a true winner may be the only one.
    visible = smallest_visible_gain(size.other, differing, LEVEL / len(tests))
    rows.append(
        Row(
            "a test",
            "smallest gain seen with probability .8",
            min(visible, 100.0),
            unit="points",
            remark=_seen(visible),
        )
    )
    winners = [subject for subject, count in wins.items() if count >= needed]
    return rows, (
        f"the best {len(wins)} were audited on {size.other} other images and {counted(len(found), 'network')}: "
        f"{', '.join(winners) or 'none'} wins on at least {needed} of them (McNemar, Holm over {len(tests)} "
        f"tests). Power: networks differ on {100 * differing:.0f} % of the images; {_seen(visible)}."
    )


def _seen(gain: float) -> str:
    """The power in words."""
    if gain > 100:
        return "no gain at all could have been seen on a network with so few images"
    return f"a gain of {gain:.1f} points or more on a network would have been seen with probability .8"
