"""Designs scored side by side, by the scorers of the search."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from circuits.cells.adder_cells import AdderCell
from circuits.designs.design_record import Design
from circuits.designs.headings import told_apart
from circuits.errors import DesignError
from circuits.exchange.design_files import find_design
from dse.explore.search_progress import Reporter
from dse.score.evaluation import Evaluator, Failure, measure
from dse.score.executor import Processes
from dse.score.outside_scorer import load_scorer
from dse.score.scored_design import ScoredDesign
from dse.score.scorer_choice import all_scorers, available_scorers, columns_of
from dse.score.scorers.layer_scores import in_each_layer
from dse.score.scorers.scorer import Scorer, ScoreSettings
from dse.score.store import Store
from dse.space.number_formats import exact_like
from dse.space.per_layer import Candidate, LayerDesigns, designs_of

__all__ = [
    "compare_designs",
    "comparison_candidates",
    "comparison_scorers",
    "comparison_settings",
    "comparison_subjects",
]

_NAME_LENGTH = 40
"""Longest "LAYER=DESIGN,LAYER=DESIGN" that heads a column; longer ones are called by their digest."""


def comparison_scorers(
    scorers: Sequence[Scorer | str] = (), settings: ScoreSettings | None = None
) -> tuple[Scorer, ...]:
    """All scorers of a comparison that can measure with these settings (default: `ScoreSettings()`): the built-in ones
    and `scorers` from outside, as in `SearchOptions`."""
    outside = [load_scorer(entry) if isinstance(entry, str) else entry for entry in scorers]
    return available_scorers(all_scorers(outside), settings or ScoreSettings())


def comparison_settings(candidates: Sequence[Candidate], settings: ScoreSettings) -> ScoreSettings:
    """The settings with the layers of their network and its products; DesignError for a design that does not fit it.

    Those of the default network stay as they are, unless a candidate has a design for each layer.
    """
    by_layer = any(isinstance(each, LayerDesigns) for each in candidates)
    if settings.is_default_network and not by_layer:
        return settings
    from dse.score.networks.network_fitting import check_fits

    fitted = _with_products(settings, [design for each in candidates for design in designs_of(each).values()])
    for each in candidates:
        check_fits(each, fitted)
    return fitted


def comparison_subjects(
    designs: Sequence[Candidate | str], cells: Mapping[str, AdderCell] | None = None
) -> list[Candidate | Mapping[str, Design]]:
    """What a comparison names: designs, with labels that differ, and the designs of some layers.

    A text is what `find_design` takes, with `cells`, or "LAYER=DESIGN,LAYER=DESIGN". Raises DesignError for an unknown
    design.
    """
    found = [_found(entry, cells) if isinstance(entry, str) else entry for entry in designs]
    labelled = iter(told_apart([each for each in found if isinstance(each, Design)]))
    return [next(labelled) if isinstance(each, Design) else each for each in found]


def _found(text: str, cells: Mapping[str, AdderCell] | None) -> Design | Mapping[str, Design]:
    if "=" not in text:
        return find_design(text, cells)
    from cnn_eval.commands.network_subjects import subject  # loads torch

    return subject(text, cells)


def comparison_candidates(
    subjects: Sequence[Candidate | Mapping[str, Design]], settings: ScoreSettings
) -> list[Candidate]:
    """The subjects as the scorers take them: those of some layers with exact designs in the other layers of `settings`.

    Raises DesignError for a layer that is not there.
    """
    return [each if isinstance(each, Design | LayerDesigns) else _by_layer(each, settings) for each in subjects]


def _by_layer(chosen: Mapping[str, Design], settings: ScoreSettings) -> LayerDesigns:
    products = _with_products(settings, [*chosen.values()]).network.products
    names = [name for name, _ in products]
    for layer in chosen:
        if layer not in names:
            raise DesignError(
                f"designs by layer must name layers that are compared ({', '.join(names)}), but got {layer!r}; correct "
                "it, or choose others by --layers."
            )
    exact = exact_like(next(iter(chosen.values())))
    name = ",".join(f"{layer}={design.label}" for layer, design in chosen.items())
    return LayerDesigns(
        tuple((layer, count, chosen.get(layer, exact)) for layer, count in products),
        name=name if len(name) <= _NAME_LENGTH else None,
    )


def _with_products(settings: ScoreSettings, designs: Sequence[Design]) -> ScoreSettings:
    from dse.score.networks.network_fitting import with_layers

    return with_layers(settings, settings.network.layers, integer=all(each.format is None for each in designs))


def compare_designs(
    designs: Sequence[Candidate | str],
    *,
    settings: ScoreSettings | None = None,
    scorers: Sequence[Scorer | str] = (),
    workers: int = 1,
    progress: bool = False,
) -> list[ScoredDesign]:
    """The designs with all their scores, in order.

    `designs`: designs, designs by layer, or texts as on the command line (`comparison_subjects`). Where one of them
    is by layer, a design for all layers has the scores of a network with a multiplier of its own in each of them.
    `settings`: what the scores are measured with (default: `ScoreSettings()`). `scorers`: scorers from outside in
    addition to the built-in ones, as "package.module:NAME". `workers`: processes that score; they never change the
    result. `progress`: reports on standard error.

    Raises DesignError for an unknown design, layer or scorer, ValueError when a design cannot be scored.
    """
    settings = settings or ScoreSettings()
    named = comparison_candidates(comparison_subjects(designs), settings)
    settings = comparison_settings(named, settings)
    distinct = list({candidate.cost_digest: candidate for candidate in named}.values())
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
    by_digest = {candidate.cost_digest: scores for candidate, scores in zip(distinct, scored, strict=True)}
    layers = max(len(each.layers) if isinstance(each, LayerDesigns) else 0 for each in named)
    rows = []
    for candidate in named:
        scores = by_digest[candidate.cost_digest]
        if isinstance(scores, Failure):
            raise ValueError(f"{candidate.label} could not be scored: {scores.reason}")
        if isinstance(candidate, Design):
            scores = in_each_layer(scores, layers, tuple(columns_of(chosen).values()))
        rows.append(ScoredDesign(candidate, scores))
    return rows
