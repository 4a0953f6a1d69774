"""DA table 4: black-box attacks on the exact and the approximate LeNet-5, through substitutes, MNIST."""

from __future__ import annotations

from cnn_eval.scenarios.control import CONTROL
from cnn_eval.scenarios.scenario_runs import black_box
from cnn_eval.scenarios.substitute import SubstituteSettings, first_images, reinitialised, train_substitute
from studies.frame.study import Row, StudyOptions, StudyResult
from studies.rows.attack_rows import PUBLISHED_NAMES, rate_row, setting, verdict

TITLE = "black-box attacks on LeNet-5, through a substitute trained on the victim's answers"
SOURCE = "DA table 4"
TOLERANCE = 0.1
AXFPM: dict[str, float] = {"FGSM": 22, "PGD": 0, "JSMA": 13, "C&W": 0, "DF": 25, "LSA": 26, "BA": 27, "HSJ": 0}
PUBLISHED: dict[str, dict[str, float]] = {"exact": dict.fromkeys(AXFPM, 100.0), "axfpm": AXFPM, "axfpm_released": AXFPM}
SAMPLES = {"quick": 6, "default": 25, "full": 500}
ROUNDS = {"quick": 3, "default": 5, "full": 5}
FIRST = 150


def run(options: StudyOptions) -> StudyResult:
    """A substitute of the victim's architecture for each victim, from the same random weights."""
    made = setting(options, SAMPLES, ("axfpm", "axfpm_released"))
    victims = {"exact": made.base, **made.victims}
    others, known = made.others
    first = others[first_images(known, FIRST)]
    settings = SubstituteSettings(rounds=ROUNDS[options.level])
    untrained = reinitialised(made.base, seed=0)
    substitutes = {
        name: train_substitute(victim, untrained, first, settings, title=f"substitute for {name}")
        for name, victim in victims.items()
    }
    rows: list[Row] = []
    for key, shown in PUBLISHED_NAMES.items():
        modes = ("minimum", "budget") if key in ("fgsm", "pgd") else ("minimum",)
        for mode in modes:
            task = made.task(key, mode)  # type: ignore[arg-type]  # a tuple of modes
            quantity = f"{shown}, smallest" if task.epsilon is None else f"{shown}, linf <= {task.epsilon:g}"
            for name, found in black_box(task, substitutes, victims).items():
                counts = (found.outcome.fooled, int(found.outcome.eligible.sum()))
                rows.append(rate_row(name, quantity, counts, PUBLISHED.get(name, {}).get(shown)))
    rows += [Row(name, "queries", each.queries, unit="images") for name, each in substitutes.items()]
    rows += [Row(name, "agreement", 100 * each.agreement, unit="%") for name, each in substitutes.items()]
    rows.sort(key=lambda row: list(victims).index(row.subject))
    said, counts_text = verdict([row for row in rows if row.subject not in ("exact", CONTROL)])
    return StudyResult(
        "table4",
        TITLE,
        SOURCE,
        rows,
        said,
        "the published 100 % on the exact network would need examples that transfer from another network; the same "
        f"attack on the control stands beside. {counts_text}",
        {**made.record(), "substitute": vars(settings), "first": FIRST},
    )
