"""The surrogate-assisted search: its model, determinism, constraints, layers, and that it finds more than chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from circuits import CELLS
from dse import SearchOptions, Space
from dse.explore.front import Judgement
from dse.explore.hypervolume import hypervolume
from dse.explore.methods import SEARCH_METHODS
from dse.explore.methods.exploration import Exploration
from dse.explore.methods.layer_seeds import layer_seeds
from dse.explore.surrogate_model import GenomeCode, Surrogate
from dse.space.search_space import Genome

CELL_NAMES = ("exact", "ama1", "ama2", "ama5")
POSITIONS = Space(
    name="positions",
    formats=("uint8",),
    granularity="cells",
    cells=tuple(CELLS[name] for name in CELL_NAMES),
)


def toy(genome: Genome) -> list[float]:
    """Two conflicting objectives: a cheap cell costs precision, most in high product columns."""
    choices = np.array(genome[4:68]).reshape(8, 8)
    weights = 2.0 ** np.add.outer(np.arange(8), np.arange(8))
    cost = float((3 - choices).sum()) + 5 * genome[0]
    return [cost, float(np.log10(1 + (weights * choices).sum()))]


def explored(method: str, *, seed: int = 0, budget: int = 160, space: Space = POSITIONS, **changed: object) -> list:
    """(genome, judgement) in the order of evaluation."""
    seen: list[tuple[Genome, Judgement]] = []

    def evaluate(genomes: Sequence[Genome]) -> list[Judgement]:
        judged = [Judgement(toy(genome)) for genome in genomes]
        seen.extend(zip(genomes, judged, strict=True))
        return judged

    arguments = {
        "space": space,
        "budget": budget,
        "population": 20,
        "seed": seed,
        "objectives": 2,
        "constraints": 0,
        "key": str,
        "evaluate": evaluate,
        "stream": None,
        "scales": ("linear", "linear"),
        **changed,
    }
    SEARCH_METHODS[method](Exploration(**arguments))
    return seen


def volume(seen: list) -> float:
    return hypervolume([[judged.values[0] / 200, judged.values[1] / 6] for _, judged in seen])


def test_the_surrogate_predicts_what_it_has_not_seen() -> None:
    random = np.random.default_rng(0)
    genomes = random.integers(0, POSITIONS.bounds, (300, len(POSITIONS.bounds)))
    values = np.array([toy(tuple(genome)) for genome in genomes.tolist()])
    code = GenomeCode(POSITIONS.bounds, POSITIONS.gene_places)
    for column in values.T:
        model = Surrogate(code, genomes[:200], column[:200])
        mean, deviation = model.predict(genomes[200:])
        assert np.sqrt(np.mean((mean - column[200:]) ** 2)) < 0.6 * column[200:].std()
        assert (deviation > 0).all()
        known, sure = model.predict(genomes[:200])
        assert np.abs(known - column[:200]).max() < 0.35 * column.std()
        assert sure.mean() < 0.5 * deviation.mean()


def test_genes_without_positions_and_with_one_value_can_be_modelled() -> None:
    random = np.random.default_rng(1)
    bounds = (3, 1, 5, 2)
    genomes = random.integers(0, bounds, (60, 4))
    values = genomes[:, 0] * 2.0 + (genomes[:, 2] == 3) * genomes[:, 3]
    model = Surrogate(GenomeCode(bounds, [None] * 4), genomes[:40], values[:40])
    error = model.predict(genomes[40:])[0] - values[40:]
    assert np.sqrt(np.mean(error**2)) < 0.3 * values.std()


def test_the_same_seed_evaluates_the_same_designs() -> None:
    first, again, other = (explored("surrogate", seed=seed, budget=100) for seed in (3, 3, 4))
    assert [genome for genome, _ in first] == [genome for genome, _ in again]
    assert [genome for genome, _ in first] != [genome for genome, _ in other]
    assert len({genome for genome, _ in first}) == len(first) == 100


def test_the_surrogate_search_finds_more_than_evolution_and_chance() -> None:
    found = {method: volume(explored(method)) for method in ("surrogate", "nsga2", "random")}
    assert found["surrogate"] > found["nsga2"] > found["random"]


def test_constraints_and_designs_without_values_do_not_stop_the_search() -> None:
    def evaluate(genomes: Sequence[Genome]) -> list[Judgement]:
        judged = []
        for genome in genomes:
            excess = max(0.0, toy(genome)[1] - 3)
            judged.append(Judgement(None if genome[5] == 1 else toy(genome), [excess]))
            evaluated.append((genome, excess))
        return judged

    evaluated: list[tuple[Genome, float]] = []
    explored("surrogate", evaluate=evaluate, constraints=1, budget=120)
    assert len(evaluated) == 120
    # Random designs break the constraint; the search turns to those that meet it.
    assert np.mean([excess == 0 for _, excess in evaluated[40:]]) > 0.5


def test_a_small_space_is_evaluated_completely() -> None:
    space = Space(
        name="tiny", formats=("uint4",), ports=("psc",), half_adders=("cell",), cells=tuple(map(CELLS.get, CELL_NAMES))
    )
    assert space.size == 16
    seen: list[Genome] = []

    def evaluate(genomes: Sequence[Genome]) -> list[Judgement]:
        seen.extend(genomes)
        return [Judgement([float(sum(genome)), -float(genome[0])]) for genome in genomes]

    explored("surrogate", space=space, budget=40, evaluate=evaluate)
    assert sorted(seen) == sorted(space.genomes())


def layered(count: int) -> Space:
    return Space(
        name="layered",
        formats=("uint8",),
        ports=("psc",),
        half_adders=("cell",),
        topologies=("ripple_array",),
        cells=(CELLS["exact"], CELLS["ama5"]),
        layers=tuple((f"layer{k}", 1000 * (k + 1)) for k in range(count)),
    )


@pytest.mark.parametrize("method", ["surrogate", "nsga2"])
def test_layers_are_tried_alone_and_then_the_least_sensitive_together(method: str) -> None:
    space = layered(5)
    own = len(space.bounds) // 5
    harm = (5.0, 1.0, 4.0, 2.0, 3.0)

    def approximate(genome: Genome) -> tuple[int, ...]:
        return tuple(k for k in range(5) if genome[own * k + 4])

    seen: list[tuple[int, ...]] = []

    def evaluate(genomes: Sequence[Genome]) -> list[Judgement]:
        seen.extend(map(approximate, genomes))
        return [
            Judgement([-float(len(approximate(genome))), sum(harm[k] for k in approximate(genome))])
            for genome in genomes
        ]

    explored(method, space=space, budget=30, evaluate=evaluate, key=lambda genome: str(approximate(genome)))
    assert seen[:6] == [(), (0,), (1,), (2,), (3,), (4,)]
    assert {(1, 3), (1, 3, 4), (1, 2, 3, 4), (0, 1, 2, 3, 4)} <= set(seen[6:20])
    assert len(seen) == len(set(seen)) <= 30


@pytest.mark.parametrize("method", ["surrogate", "nsga2"])
def test_a_ladder_is_evaluated_first_in_place_of_single_layers(method: str) -> None:
    space = layered(3)
    steps = [space.encode(space.decode(genome)) for genome in space.sample(0, 5)]
    asked: list[int] = []

    def ladder(count: int) -> list[Genome]:
        asked.append(count)
        return steps[:count]

    def evaluate(genomes: Sequence[Genome]) -> list[Judgement]:
        seen.extend(genomes)
        return [Judgement([float(sum(genome)), -float(genome[4])]) for genome in genomes]

    seen: list[Genome] = []
    explored(method, space=space, budget=40, ladder=ladder, evaluate=evaluate)
    assert asked == [10]  # a quarter of the budget
    assert set(steps) <= set(seen[:20])


def test_a_space_without_layers_or_exact_design_has_no_seeds() -> None:
    assert POSITIONS.seeds(100) == []
    without = Space(name="without", formats=("uint8",), cells=(CELLS["ama5"],), layers=(("a", 1), ("b", 1)))
    assert without.seeds(100) == []
    assert layered(3).seeds(3) == []  # too small a budget for a group of four
    assert [len(group) for group in layered(3).seeds(4)] == [4]
    exploration = Exploration(
        space=POSITIONS,
        budget=100,
        population=20,
        seed=0,
        objectives=2,
        constraints=0,
        key=str,
        evaluate=lambda genomes: pytest.fail("nothing to evaluate"),
        stream=lambda genomes: iter(()),
        scales=("linear", "linear"),
    )
    assert layer_seeds(exploration).genomes == ()


def test_auto_chooses_by_the_space_and_the_price_of_scores() -> None:
    def chosen(space: Space, budget: int, *objectives: str) -> str:
        return SearchOptions(space=space, budget=budget, objectives=objectives).chosen_method

    small = Space(name="small", formats=("bfloat16",), cells=(CELLS["exact"], CELLS["ama5"]))
    large = Space(name="large", formats=("bfloat16",), granularity="cells", cells=(CELLS["exact"], CELLS["ama5"]))
    assert large.size > 10**9
    assert chosen(small, 10_000, "energy", "accuracy_loss") == "exhaustive"
    assert chosen(small, 10, "energy", "accuracy_loss") == "nsga2"
    assert chosen(large, 240, "energy", "nmed") == "nsga2"
    assert chosen(large, 240, "energy", "accuracy_loss") == "surrogate"
    assert chosen(large, 5000, "energy", "accuracy_loss") == "nsga2"
    assert SearchOptions().chosen_method == "nsga2"


def test_small_budgets_have_small_populations() -> None:
    populations = [SearchOptions(budget=budget).population for budget in (40, 240, 400, 5000)]
    assert populations == [8, 12, 20, 20]
    assert SearchOptions(budget=240, population=30).population == 30
    # Where nothing of a network is measured or nothing bred, runs are recorded as ever.
    assert SearchOptions(budget=240, method="random").population == 20
    assert SearchOptions(budget=240, objectives=("energy", "nmed")).population == 20
