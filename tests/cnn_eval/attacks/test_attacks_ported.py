"""The attacks ported from Foolbox give its results bit for bit; only the source of random numbers differs."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import torch
from robust_networks import SmallNetwork, network

from cnn_eval import predict
from cnn_eval.attacks.boundary import Boundary, _directions, _propose
from cnn_eval.attacks.ddn import DDN
from cnn_eval.attacks.shared.base import foolbox_model
from cnn_eval.attacks.shared.starting import starting_points
from cnn_eval.data.loading import load
from cnn_eval.models.inference import evaluation_mode


@pytest.fixture(scope="module")
def model() -> SmallNetwork:
    return network("normal")


@pytest.fixture(scope="module")
def batch(model: SmallNetwork) -> tuple[torch.Tensor, torch.Tensor]:
    """Six correctly classified images."""
    data = load()
    right = (predict(model, data.images[:10]) == data.labels[:10]).nonzero()[:6, 0]
    return data.images[right], data.labels[right]


def test_ddn_gives_the_results_of_foolbox(model: SmallNetwork, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    from foolbox.attacks.ddn import DDNAttack

    with evaluation_mode(model):
        theirs = DDNAttack(steps=40, init_epsilon=0.7, gamma=0.1).run(foolbox_model(model, batch[0]), *batch)
    ours = DDN(steps=40, init_epsilon=0.7, gamma=0.1).run(model, *batch, mode="minimum")
    assert bool((predict(model, theirs) != batch[1]).all())
    assert torch.equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 300},
        {"steps": 700, "update_stats_every_k": 1, "spherical_step": 0.1, "source_step": 0.1},
        {"steps": 500, "update_stats_every_k": 1, "source_step": 0.5, "source_step_convergence": 0.05},
    ],
    ids=["plain", "both steps adapt", "converges"],
)
def test_the_boundary_walk_is_that_of_foolbox(
    settings: dict[str, Any],
    model: SmallNetwork,
    batch: tuple[torch.Tensor, torch.Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Foolbox's loop with our proposals, which are drawn for each image separately."""
    from eagerpy.astensor import astensor
    from foolbox.attacks import boundary_attack

    images, labels = batch
    directions = _directions(images, 3)
    source_steps: list[torch.Tensor] = []

    def draw_proposals(_: Any, originals: Any, present: Any, *more: Any) -> tuple[Any, Any]:
        *_, spherical_step, source_step = (each.raw for each in more)
        source_steps.append(source_step)
        on_sphere, candidates = _propose(originals.raw, present.raw, next(directions), spherical_step, source_step)
        return astensor(candidates), astensor(on_sphere)

    monkeypatch.setattr(boundary_attack, "draw_proposals", draw_proposals)
    ours = Boundary(seed=3, **settings)
    starts, started = starting_points(model, images, labels, 3)
    assert bool(started.all())
    foolbox_names = {"source_step_convergence": "source_step_convergance"}
    attack = boundary_attack.BoundaryAttack(**{foolbox_names.get(key, key): value for key, value in settings.items()})
    with evaluation_mode(model), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)  # Foolbox's windows are empty at first
        theirs = attack.run(foolbox_model(model, images), images, labels, starting_points=starts)
    assert torch.equal(ours.run(model, images, labels, mode="minimum"), theirs)
    if len(settings) > 1:
        assert bool((source_steps[-1] != source_steps[0]).any())
