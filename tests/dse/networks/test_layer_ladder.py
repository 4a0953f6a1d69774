"""Designs by layer from a model of harm: the ladder's optimality, the model against the network, the scorer."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circuits import Design
from cnn_eval.models.inference import logits
from dse import SCORERS, Processes, ScoreSettings, SearchOptions, Store, settings_for_network
from dse.explore.methods import layer_seeds
from dse.explore.search_loop import search
from dse.score.evaluation import measure
from dse.score.networks.layer_ladder import ladder, layer_harms
from dse.score.networks.network_fitting import with_layers
from dse.score.networks.scored_networks import baseline_of, evaluation_images, through
from dse.score.scorers.divergence_scorer import divergences
from dse.space.library_spaces import LIBRARY_BY_LAYER
from dse.space.per_layer import LayerDesigns

_tables = st.integers(1, 4).flatmap(
    lambda designs: st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=designs, max_size=designs),
        min_size=2,
        max_size=3,
    )
)


@given(_tables)
def test_no_assignment_is_better_than_a_step_of_the_ladder(table: list[list[tuple[int, int]]]) -> None:
    harms, energies = (np.array([[entry[k] for entry in row] for row in table], dtype=float) for k in (0, 1))
    harms /= 100
    layers = range(len(table))

    def totals(step: tuple[int, ...]) -> tuple[float, float]:
        return sum(harms[k, step[k]] for k in layers), sum(energies[k, step[k]] for k in layers)

    steps = ladder(harms, energies, 50)
    every = [totals(step) for step in itertools.product(range(harms.shape[1]), repeat=len(table))]
    assert totals(steps[0])[0] == min(harm for harm, _ in every)
    assert totals(steps[-1])[1] == min(energy for _, energy in every)
    for harm, energy in map(totals, steps):
        assert not any(
            other <= harm and price <= energy and (other < harm - 1e-9 or price < energy - 1e-9)
            for other, price in every
        )


def test_a_ladder_is_cut_to_length_and_ends_before_answers_are_lost() -> None:
    harms = np.array([[0.0, 0.01, 0.1, 50.0]] * 4)
    energies = np.array([[4.0, 3.0, 2.0, 1.0]] * 4) * np.array([[1], [2], [3], [4]])
    steps = ladder(harms, energies, 100)
    assert steps[0] == (0, 0, 0, 0)
    assert steps[-1] == (2, 2, 2, 2)  # 50 nats are more than any answer holds
    short = ladder(harms, energies, 3)
    assert len(short) == 3
    assert (short[0], short[-1]) == (steps[0], steps[-1])
    assert ladder(np.zeros((2, 2)), np.array([[2.0, 1.0], [1.0, 2.0]]), 5) == [(1, 0)]


def test_divergences_are_those_of_the_definition() -> None:
    exact, changed = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    weights = [math.exp(value) for value in (2.0, 0.0, -1.0)]
    p = [weight / sum(weights) for weight in weights]
    assert divergences(exact, changed).tolist() == pytest.approx([sum(x * math.log(3 * x) for x in p), 0.0])


@pytest.fixture(scope="module")
def settings() -> ScoreSettings:
    small = settings_for_network("resnet8", quantize="int8", images=24, attack_images=0, cost_samples=64)
    return with_layers(small, "all", integer=True)


@pytest.mark.slow
def test_the_model_of_harm_agrees_with_the_network(settings: ScoreSettings) -> None:
    members = {each.label: each for each in LIBRARY_BY_LAYER.library}
    designs = [members[name] for name in ("exact int8", "s8_mae0.02", "s8_wce0.25", "s8_mred12")]
    products = settings.network.products
    names = [name for name, _ in products]
    harms = layer_harms(names, designs, settings)
    assert harms.shape == (len(names), len(designs))
    assert (harms[:, 0] == 0).all()
    assert (harms[:, 1:] > 0).all()
    assert (layer_harms(names, designs, settings) == harms).all()
    # Layer by layer and design by design the network itself says much the same.
    exact = designs[0]

    def measured(chosen: dict[str, Design]) -> float:
        candidate = LayerDesigns(tuple((name, count, chosen.get(name, exact)) for name, count in products))
        return SCORERS["divergence"].measure(candidate, settings)["divergence"]

    alone = {(layer, k): measured({names[layer]: designs[k]}) for layer in (1, 4, 8) for k in (1, 2, 3)}
    modelled = np.log([harms[place] for place in alone])
    assert np.corrcoef(modelled, np.log([*alone.values()]))[0, 1] > 0.9
    assert 0.3 < np.exp(np.median(modelled - np.log([*alone.values()]))) < 3
    together = measured(dict.fromkeys(names, designs[1]))
    assert 0.3 < harms[:, 1].sum() / together < 3


@pytest.mark.slow
def test_the_scorer_measures_the_movement_of_the_answers(settings: ScoreSettings) -> None:
    scorer = SCORERS["divergence"]
    rough = next(each for each in LIBRARY_BY_LAYER.library if each.label == "s8_mred12")
    scores = scorer.measure(rough, settings)
    images = evaluation_images(settings)[0][:24]
    p, q = (logits(make(rough, settings), images).double().log_softmax(1) for make in (baseline_of, through))
    assert scores["divergence"] == pytest.approx(float((p.exp() * (p - q)).sum(1).mean()))
    assert 0 <= scores["divergence_low"] < scores["divergence"] < scores["divergence_high"]
    assert scorer.measure(LIBRARY_BY_LAYER.library[0], settings)["divergence"] == 0
    # Nobody pays for it who does not ask for it.
    assert "divergence" not in {each.name for each in SearchOptions().question.available}


@pytest.mark.slow
def test_a_search_by_layer_begins_with_the_ladder(
    settings: ScoreSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layer_seeds, "_SHARE", 1)
    names = ("exact int8", "s8_mae0.02", "s8_wce0.25", "s8_mred12", "s8_mae0.43")
    options = SearchOptions(
        space=replace(LIBRARY_BY_LAYER, library=tuple(e for e in LIBRARY_BY_LAYER.library if e.label in names)),
        objectives=("image_energy", "divergence"),
        budget=6,
        population=6,
        method="nsga2",
        settings=settings,
    )
    with Store(tmp_path / "store.sqlite") as store:
        result = search(options, store, Processes(measure, 1))
    rows = sorted(result.rows, key=lambda row: -row.scores["image_energy"])
    assert len(rows) == 6
    assert {each.label for each in rows[0].design.designs.values()} == {"exact int8"}
    assert rows[0].scores["divergence"] == 0
    assert all(len({each.label for each in row.design.designs.values()}) > 1 for row in rows[1:4])
    # What the model expects holds in the network: each step saves energy and costs answers.
    harms = [row.scores["divergence"] for row in rows]
    assert harms == sorted(harms)
