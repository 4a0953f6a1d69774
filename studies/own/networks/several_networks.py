"""Own study: what of the claims survives on LeNet-5s of other training, with intervals that contain the networks.

Every number of tables 2, 8 and 10 and of figure 12 is measured on five LeNet-5s that differ in seed, training images,
length and loss, and so are transfers at several margins (`studies.rows.over_networks` explains the intervals).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import seaborn

from circuits.drawing.figure_files import render
from cnn_eval.models.registry import weights_record
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.frame.verdict_text import DEPENDS, KEPT, SELDOM
from studies.paper import figure12, table2, table8, table10
from studies.rows.attack_rows import PUBLISHED_NAMES, setting
from studies.rows.further_victims import ALL_LAYERS
from studies.rows.network_transfers import CONFIDENT, CONFIDENT_MORE, SMALLEST, clean, transfers
from studies.rows.networks_figure import network_rates, networks_figure
from studies.rows.over_networks import RECORD, Claimed, Found, found_on_each, over, rows_of
from studies.rows.sampled_rows import LOSS

TITLE = "transfer, accuracy and confidence over five LeNet-5s of different training"
SOURCE = "own; DA tables 2, 8 and 10, figure 12"
TOLERANCE = 0.1
NETWORKS = ("lenet5", "lenet5_plain", "lenet5_brief", "lenet5_long", "lenet5_smooth")
DESIGNS = ("axfpm", "axfpm_released", "heap")
FURTHER = {"all_layers": ("axfpm_released",), "matched": ("axfpm_released", "heap")}
_AXFPM = ("axfpm", "axfpm_released", f"axfpm_released{ALL_LAYERS}")
TRANSFER: Mapping[str, Mapping[str, float]] = {**dict.fromkeys(_AXFPM, table2.PUBLISHED), "heap": table10.HEAP}
"""Victim -> attack by its name in the paper -> published transfer rate, %."""
LOSSES = {
    victim: round(table8.PUBLISHED[name][0] - table8.PUBLISHED["exact"][0], 2)
    for name, victims in (("axfpm", _AXFPM), ("heap", ("heap",)))
    for victim in victims
}
RAISED = dict.fromkeys(_AXFPM, figure12.PUBLISHED["axfpm"] - figure12.PUBLISHED["exact"])
"""Published rise of the share of confident images, percentage points."""
ATTACKS = {
    "quick": ("fgsm", "pgd", "deepfool"),
    "default": ("fgsm", "pgd", "deepfool", "cw"),
    "full": tuple(PUBLISHED_NAMES),
}
SAMPLES = {"quick": 24, "default": 100, "full": 500}
CLEAN = {"quick": 500, "default": 2000, "full": 10_000}
"""Images behind accuracy and confidence."""
FACTORS = (1.1, 1.2, 1.5, 2.0)
"""Factors on the smallest perturbations that give them a margin."""
PAIRS = (("heap", "axfpm"), ("axfpm_released", "axfpm"))
"""Victims that are compared with each other on the same examples."""


@dataclass(frozen=True)
class TransferStudy:
    """Transfers, accuracy and confidence of networks of one architecture; mappings are by level.

    `samples`: images to attack; `clean`: images behind accuracy and confidence; `further`: see `attack_rows.setting`;
    `victims`: those that the sentence on the result speaks of.
    """

    name: str
    networks: tuple[str, ...]
    attacks: Mapping[str, tuple[str, ...]]
    samples: Mapping[str, int]
    clean: Mapping[str, int]
    further: Mapping[str, Mapping[str, tuple[str, ...]]]
    claimed: Claimed
    victims: Collection[str]

    def run(self, options: StudyOptions) -> StudyResult:
        """Attacks every network and tries the examples on its own victims."""
        level = options.level

        def measure(model: str) -> Found:
            attacks = setting(options, self.samples, DESIGNS, model=model, further=self.further[level])
            return {
                **transfers(attacks, self.attacks[level], factors=FACTORS, pairs=PAIRS),
                **clean(attacks, options, self.clean[level]),
            }

        rows = rows_of(found_on_each(options, self.networks, measure), self.claimed)
        return StudyResult(
            rows,
            "measured",
            summary(rows, self.networks, self.victims),
            {
                "networks": {name: weights_record(name)["sha256"] for name in self.networks},
                "level": level,
                "data": options.data,
                "samples": self.samples[level],
                "clean_images": self.clean[level],
                "attacks": list(self.attacks[level]),
                "factors": list(FACTORS),
                "bootstrap": RECORD,
            },
            figures(rows, self.name),
        )


def run(options: StudyOptions) -> StudyResult:
    """Attacks every network and tries the examples on its own victims. Levels quick and default use embedded images."""
    further = dict.fromkeys(SAMPLES, FURTHER)
    study = TransferStudy("several_networks", NETWORKS, ATTACKS, SAMPLES, CLEAN, further, CLAIMED, TRANSFER)
    return study.run(options)


def figures(rows: Sequence[Row], name: str) -> dict[str, bytes]:
    """Draws each number with a published one under every network; nothing without any."""
    rates = network_rates(rows)
    if not rates:
        return {}
    return render(lambda: networks_figure(rates), salt=name, style=seaborn.axes_style("whitegrid"))


def _published(victim: str, quantity: str) -> float | None:
    attack, _, kind = quantity.partition(", ")
    if kind == SMALLEST:
        return TRANSFER.get(victim, {}).get(attack)
    return {LOSS: LOSSES, CONFIDENT_MORE: RAISED}.get(quantity, {}).get(victim)


def limit(victim: str, quantity: str) -> float | None:
    """The number that a claim's direction compares with."""
    if quantity == LOSS:
        return -KEPT
    if quantity == CONFIDENT_MORE or " less " in victim:
        return 0.0
    return None if quantity == CONFIDENT else SELDOM


def room(victim: str, quantity: str, found: Mapping[str, Found]) -> str:
    """How much more confident the exact networks leave it to be, where a rise was published."""
    if quantity != CONFIDENT_MORE or _published(victim, quantity) is None:
        return ""
    left = [100 - measured["exact", CONFIDENT].mean for measured in found.values()]
    return f"room for {min(left):.0f} to {max(left):.0f} points"


CLAIMED = Claimed(_published, limit, room)


def summary(rows: Sequence[Row], networks: Sequence[str], victims: Collection[str]) -> str:
    """What holds for the victims on all networks, and what depends on them."""
    end = f", {over(networks)}"
    pooled = [row for row in rows if row.quantity.endswith(end)]
    smallest = [row for row in pooled if row.subject in victims and f", {SMALLEST}" in row.quantity]
    others = [
        row
        for row in pooled
        if row.subject in victims and (" linf <= " in row.quantity or f", x {FACTORS[-1]:g}" in row.quantity)
    ]
    depending = [f"{row.subject}, {row.quantity.removesuffix(end)}" for row in pooled if DEPENDS in row.remark]

    def span(of: Sequence[Row]) -> str:
        if not of:
            return "none"
        return f"{min(row.measured for row in of):.0f} to {max(row.measured for row in of):.0f} %"

    return (
        f"means over {len(networks)} networks: of the smallest perturbations {span(smallest)} transfer, of those with "
        f"the largest margin or a budget {span(others)}; {DEPENDS}: {', '.join(depending) or 'nothing'}."
    )
