"""Designs scored side by side, by the scorers of the search."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from circuits.designs.design_record import Design
from circuits.designs.headings import told_apart
from circuits.exchange.design_files import find_design
from dse.explore.search_progress import Reporter
from dse.score.evaluation import Evaluator, Failure, measure
from dse.score.executor import Processes
from dse.score.outside_scorer import load_scorer
from dse.score.scored_design import ScoredDesign
from dse.score.scorer_choice import all_scorers, available_scorers
from dse.score.scorers.scorer import Scorer, ScoreSettings
from dse.score.store import Store

__all__ = ["compare_designs", "comparison_scorers", "comparison_settings"]


def comparison_scorers(
    scorers: Sequence[Scorer | str] = (), settings: ScoreSettings | None = None
) -> tuple[Scorer, ...]:
    """All scorers of a comparison that can measure with these settings (default: `ScoreSettings()`): the built-in ones
    and `scorers` from outside, as in `SearchOptions`."""
    outside = [load_scorer(entry) if isinstance(entry, str) else entry for entry in scorers]
    return available_scorers(all_scorers(outside), settings or ScoreSettings())


def comparison_settings(designs: Sequence[Design], settings: ScoreSettings) -> ScoreSettings:
    """The settings with the layers of their network and its products; DesignError for a design that does not fit it.

    Those of the default network stay as they are.
    """
    if settings.is_default_network:
        return settings
    from dse.score.networks.network_fitting import check_fits, with_layers

    integer = all(each.format is None for each in designs)
    fitted = with_layers(settings, settings.network.layers, integer=integer)
    for each in designs:
        check_fits(each, fitted)
    return fitted


def compare_designs(
    designs: Sequence[Design | str],
    *,
    settings: ScoreSettings | None = None,
    scorers: Sequence[Scorer | str] = (),
    workers: int = 1,
    progress: bool = False,
) -> list[ScoredDesign]:
    """The designs with all their scores, in order.

    `designs`: designs, or names and TOML files as on the command line. `settings`: what the scores are measured with
    (default: `ScoreSettings()`). `scorers`: scorers from outside in addition to the built-in ones, as
    "package.module:NAME". `workers`: processes that score; they never change the result. `progress`: reports on
    standard error.

    Raises DesignError for an unknown design or scorer, ValueError when a design cannot be scored.
    """
    named = told_apart([find_design(entry) if isinstance(entry, str) else entry for entry in designs])
    settings = comparison_settings(named, settings or ScoreSettings())
    distinct = list({design.cost_digest: design for design in named}.values())
    chosen = comparison_scorers(scorers, settings)
    with (
        tempfile.TemporaryDirectory() as folder,
        Store(Path(folder) / "store.sqlite") as store,
        Reporter(enabled=progress) as reporter,
        Processes(measure, max(1, min(workers, len(distinct)))) as executor,
    ):
        reporter.stage("designs scored", len(distinct))
        evaluator = Evaluator(store, executor, settings)
        scored = evaluator.score(distinct, chosen, reporter.advance)
    by_digest = {design.cost_digest: scores for design, scores in zip(distinct, scored, strict=True)}
    rows = []
    for design in named:
        scores = by_digest[design.cost_digest]
        if isinstance(scores, Failure):
            raise ValueError(f"{design.label} could not be scored: {scores.reason}")
        rows.append(ScoredDesign(design, scores))
    return rows
