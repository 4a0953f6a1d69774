"""Attacks against models whose answers are known in closed form or found by exhaustive search."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from linear_models import Rowwise, linear
from quick_attacks import QUICK
from torch import nn

from cnn_eval import ATTACKS, attack
from cnn_eval.attacks.boundary import Boundary
from cnn_eval.attacks.carlini_wagner import CarliniWagner
from cnn_eval.attacks.ddn import DDN
from cnn_eval.attacks.deepfool import DeepFool
from cnn_eval.attacks.fgsm import FGSM
from cnn_eval.attacks.hopskipjump import HopSkipJump
from cnn_eval.attacks.jsma import JSMA, most_salient
from cnn_eval.attacks.lsa import LocalSearch
from cnn_eval.attacks.pgd import PGD
from cnn_eval.attacks.shared.primitives import distances, fooled
from cnn_eval.attacks.shared.starting import starting_points


def boundary_distances(model: Rowwise, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """L2 distance of each image to the nearest class boundary of a linear model, [N]."""
    out = model(images).detach().double()
    found = []
    for row, label in zip(out, labels.tolist(), strict=True):
        each = [
            (row[label] - row[k]) / (model.weight[label] - model.weight[k]).norm()
            for k in range(len(row))
            if k != label
        ]
        found.append(min(each))
    return torch.stack(found).detach().float()


# ---- closed forms


def test_fgsm_of_two_linear_classes_is_exact() -> None:
    model, images, labels = linear(2)
    out = model(images).detach()
    gap = (out[:, 0] - out[:, 1]).abs()
    smallest = gap / (model.weight[0] - model.weight[1]).detach().abs().sum().float()
    result = FGSM().run(model, images, labels, mode="minimum")
    assert bool(fooled(model, result, labels).all())
    excess = distances(images, result, "linf") - smallest
    assert float(excess.min()) > -1e-5
    assert float(excess.max()) <= 1 / 4096 + 1e-5
    # in a budget: exactly the sign step
    towards = torch.where(labels == 0, 1, -1)[:, None] * (model.weight[1] - model.weight[0]).detach().float().sign()
    step = FGSM().run(model, images, labels, mode="budget", epsilon=0.125) - images
    assert torch.allclose(step, 0.125 * towards.reshape(images.shape), atol=1e-6)


@pytest.mark.parametrize("overshoot", [0.02, 0.3])
def test_deepfool_on_a_linear_model_is_one_exact_step(overshoot: float) -> None:
    model, images, labels = linear(4)
    result = DeepFool(overshoot=overshoot).run(model, images, labels, mode="minimum")
    nearest = boundary_distances(model, images, labels)
    # Moosavi-Dezfooli et al.: (1 + overshoot) times the projection; their code adds 1e-4 to the distance
    expected = (1 + overshoot) * (nearest + 1e-4)
    assert bool(fooled(model, result, labels).all())
    assert distances(images, result, "l2").tolist() == pytest.approx(expected.tolist(), rel=1e-3)


@pytest.mark.parametrize(
    ("method", "tolerance"),
    [
        (CarliniWagner(binary_search_steps=5, steps=150, initial_const=1.0), 0.02),
        (DDN(steps=200), 0.03),
        (HopSkipJump(steps=10), 0.05),
        (Boundary(steps=1500, spherical_step=0.2, source_step=0.2), 0.1),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_l2_attacks_come_near_the_closed_form(method: CarliniWagner | DDN, tolerance: float) -> None:
    model, images, labels = (linear(3)[0], *(part[:3] for part in linear(3)[1:]))
    result = method.run(model, images, labels, mode="minimum")
    assert bool(fooled(model, result, labels).all())
    ratio = distances(images, result, "l2") / boundary_distances(model, images, labels)
    assert float(ratio.min()) > 0.999  # nothing nearer than the boundary fools
    assert float(ratio.max()) < 1 + tolerance


def test_confidence_is_a_margin_of_logits() -> None:
    model, images, labels = linear(3)
    method = CarliniWagner(binary_search_steps=4, steps=100, initial_const=1.0, confidence=0.5)
    result = method.run(model, images, labels, mode="minimum")
    assert bool(fooled(model, result, labels).all())
    out = model(result).detach()
    true = out.gather(1, labels[:, None])[:, 0]
    margin = out.scatter(1, labels[:, None], -torch.inf).amax(1) - true
    assert float(margin.min()) >= 0.5 - 1e-5
    assert float(margin.max()) < 0.7


def test_pgd_stays_in_its_ball_and_reaches_the_linear_optimum() -> None:
    model, images, labels = linear(2)
    result = PGD(steps=20, relative_step=0.125).run(model, images, labels, mode="budget", epsilon=0.05)
    assert float(distances(images, result, "linf").max()) <= 0.05 + 1e-6
    towards = torch.where(labels == 0, 1, -1)[:, None] * (model.weight[1] - model.weight[0]).detach().float().sign()
    assert torch.allclose(result, images + 0.05 * towards.reshape(images.shape), atol=1e-5)


class Tent(nn.Module):
    """One pixel, two classes: the second one wins where the pixel is within .09 of .46."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pixel = images.flatten(1)
        return torch.cat([0 * pixel, 0.09 - (pixel - 0.46).abs()], 1)


def test_pgd_keeps_the_shortest_perturbation_not_that_of_the_smallest_eps() -> None:
    """Three steps of eps / 4 from .25: with eps .5 up to .5 and back to .375, with eps .25 up to .4375; both fool."""
    image, label = torch.full((1, 1, 1, 1), 0.25), torch.tensor([0])
    method = PGD(steps=3, relative_step=0.25, random_start=False, bisections=2)
    for eps, reached in ((0.5, 0.375), (0.25, 0.4375)):
        budget = method.run(Tent(), image, label, mode="budget", epsilon=eps)
        assert float(budget) == reached
        assert bool(fooled(Tent(), budget, label))
    assert float(method.run(Tent(), image, label, mode="minimum")) == 0.375


# ---- few pixels


def test_of_equally_salient_values_the_first_two_are_changed() -> None:
    alike = torch.ones(3, 200)
    free = torch.ones(3, 200, dtype=torch.bool)
    free[1, 0] = free[2, 50:] = False
    first, second, found = most_salient(alike, alike, free)
    assert (first.tolist(), second.tolist(), found.tolist()) == ([0, 1, 0], [1, 2, 1], [True, True, True])


def test_where_two_targets_succeed_in_one_step_the_likelier_class_wins() -> None:
    """Black images of four pixels: the first two lead to class 1, the others to class 2."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    towards = torch.tensor([[-0.1, -0.1, -0.1, -0.1], [1.0, 1.0, -0.1, -0.1], [-0.1, -0.1, 1.0, 1.0]])
    images, labels = torch.zeros(1, 1, 2, 2), torch.tensor([0])
    for likelier, expected in ((1, [1.0, 1.0, 0.0, 0.0]), (2, [0.0, 0.0, 1.0, 1.0])):
        with torch.no_grad():
            model[1].weight.copy_(towards)
            model[1].bias.copy_(torch.tensor([1.0, 0.4, 0.4]))
            model[1].bias[likelier] += 0.1
        for targets in (1, 2):
            result = JSMA(targets=targets, gamma=1.0).run(model, images, labels, mode="minimum")
            assert result.flatten().tolist() == expected


def test_most_salient_pair_is_that_of_an_exhaustive_search() -> None:
    generator = torch.Generator().manual_seed(0)
    for grid in (1.0, 0.0):  # coarse values have ties, which must not hide a pair
        gains, losses = (torch.randn(60, 9, generator=generator) * 2 - 0.8 for _ in range(2))
        if grid:
            gains, losses = gains.round(), losses.round()
        free = torch.rand(60, 9, generator=generator) > 0.3
        first, second, found = most_salient(gains, losses, free)
        for row in range(60):
            best = -math.inf
            for p, q in itertools.combinations(range(9), 2):
                gain, loss = float(gains[row, p] + gains[row, q]), float(losses[row, p] + losses[row, q])
                if free[row, p] and free[row, q] and gain > 0 and loss > 0:
                    best = max(best, gain * loss)
            assert bool(found[row]) == (best > -math.inf)
            if found[row]:
                p, q = int(first[row]), int(second[row])
                assert p < q
                assert free[row, p]
                assert free[row, q]
                value = (gains[row, p] + gains[row, q]) * (losses[row, p] + losses[row, q])
                assert float(value) == pytest.approx(best, rel=1e-6)


@pytest.fixture(scope="module")
def convolutional() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A small convolutional model, and 3 x 6 x 6 images, black and white among their pixels, with its own classes."""
    generator = torch.Generator().manual_seed(1)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    images = torch.rand(6, 3, 6, 6, generator=generator)
    images[:, :, :2], images[:, :, 4:] = 0.0, 1.0
    return model, images, model(images).argmax(1)


def test_jsma_changes_at_most_what_is_allowed(convolutional: tuple[nn.Module, torch.Tensor, torch.Tensor]) -> None:
    model, images, labels = convolutional
    free = JSMA().run(model, images, labels, mode="minimum")
    needed = distances(images, free, "l0")
    assert int(fooled(model, free, labels).sum()) >= 4
    assert float(needed.max()) <= 0.145 * 108
    for budget in (2, 5):
        result = JSMA().run(model, images, labels, mode="budget", epsilon=budget)
        assert float(distances(images, result, "l0").max()) <= budget
        success = fooled(model, result, labels)
        assert torch.equal(success, fooled(model, free, labels) & (needed <= budget // 2 * 2))
    # with theta 1 a changed value is white
    changed = free != images
    assert bool((free[changed] == 1).all())
    assert bool((JSMA(theta=-1).run(model, images, labels, mode="minimum") <= images).all())


def test_more_targets_never_need_more_values(convolutional: tuple[nn.Module, torch.Tensor, torch.Tensor]) -> None:
    model, images, labels = convolutional
    one, all_ = (JSMA(targets=n, gamma=0.3).run(model, images, labels, mode="minimum") for n in (1, 3))
    success = fooled(model, one, labels)
    assert bool(fooled(model, all_, labels)[success].all())
    assert bool((distances(images, all_, "l0") <= distances(images, one, "l0"))[success].all())


def scalar_local_search(
    method: LocalSearch, model: nn.Module, image: torch.Tensor, label: int, first: set[tuple[int, int]]
) -> tuple[torch.Tensor, list[float]]:
    """LocSearchAdv for one image, pixel by pixel, in the words of the paper; also p at the start of every round."""
    x, candidates = image - 0.5, set(first)
    last: dict[tuple[int, int], int] = {}
    p, every_p = method.p, []

    def cyclic(value: float) -> float:
        scaled = method.r * value
        if scaled < -0.5:
            return scaled + 1
        return scaled - 1 if scaled > 0.5 else scaled

    for number in range(method.rounds):
        every_p.append(p)
        scores = {}
        for i, j in candidates:
            trial = x.clone()
            for channel in range(3):
                value = float(x[channel, i, j])
                trial[channel, i, j] = p * float(torch.tensor(cyclic(value) - value).sign())
            scores[i, j] = float(model(trial[None] + 0.5).softmax(1)[0, label])
        chosen = sorted(scores, key=lambda place: (scores[place], place))[: method.t]
        for i, j in chosen:
            last[i, j] = number
            for channel in range(3):
                x[channel, i, j] = cyclic(float(x[channel, i, j]))
        mean = sum(scores[place] for place in chosen) / len(chosen)
        p = p * method.adaptation if mean > 0.9 else p / method.adaptation if mean < 0.3 else p
        if int(model(x[None] + 0.5).argmax()) != label:
            return (x + 0.5).clamp(0, 1), every_p
        resting = {place for place, when in last.items() if when > number - method.rest}
        candidates = {
            (i, j)
            for a, b in chosen
            for i in range(max(0, a - method.d), min(6, a + method.d + 1))
            for j in range(max(0, b - method.d), min(6, b + method.d + 1))
        } - resting
    return image, every_p


@pytest.mark.parametrize(
    ("adaptation", "p", "changes"),
    [(1.0, 2.0, {"="}), (3.0, 4.0, {"<", "=", ">"}), (3.0, 0.1, {"<", "=", ">"})],
    ids=["p kept", "p adapted from above", "p adapted from below"],
)
def test_local_search_is_that_of_a_scalar_program(
    adaptation: float, p: float, changes: set[str], convolutional: tuple[nn.Module, torch.Tensor, torch.Tensor]
) -> None:
    model, images, labels = convolutional
    method = LocalSearch(rounds=5, t=2, d=2, rest=3, adaptation=adaptation, p=p)
    result = method.run(model, images, labels, mode="minimum")
    seen = set()
    with torch.no_grad():
        for image, label, start, found in zip(images, labels.tolist(), method._first(images), result, strict=True):
            first = {(int(i), int(j)) for i, j in start.nonzero()}
            assert len(first) == 3  # a tenth of 36 pixels
            expected, every_p = scalar_local_search(method, model, image, label, first)
            assert torch.allclose(found, expected, atol=1e-5)
            seen |= {"<" if b < a else ">" if b > a else "=" for a, b in itertools.pairwise(every_p)}
    assert seen == changes  # the cases that occur: p lowered, kept, raised
    assert int(fooled(model, result, labels).sum()) >= 2
    assert float(distances(images, result, "l0").max()) <= 3 * method.t * method.rounds
    within = LocalSearch(rounds=5, t=2).run(model, images, labels, mode="budget", epsilon=6)
    assert float(distances(images, within, "l0").max()) <= 6


# ---- what holds for every attack

ROBUST = {
    **QUICK,
    "cw": {"binary_search_steps": 3, "steps": 40, "initial_const": 1.0, "stepsize": 0.05},
    "jsma": {"gamma": 0.5},
    "lsa": {"rounds": 30},
    "boundary": {"steps": 60, "spherical_step": 0.2},
}
"""Quick settings under which every attack succeeds on some of five images."""


@pytest.mark.parametrize("mode", ["budget", "minimum"])
@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_no_result_depends_on_the_batch(name: str, mode: str) -> None:
    model, images, labels = linear(4, bent=True, contrast=1.0)
    method = attack(name, **ROBUST.get(name, {}))
    epsilon = None if mode == "minimum" else {"l0": 6.0, "l2": 0.9, "linf": 0.1}[method.norm]
    whole = method.run(model, images, labels, mode=mode, epsilon=epsilon)  # type: ignore[arg-type]
    torch.manual_seed(1)  # the global generator must not matter
    alone = method.run(model, images, labels, mode=mode, epsilon=epsilon, batch_size=1)  # type: ignore[arg-type]
    back = method.run(model, images.flip(0), labels.flip(0), mode=mode, epsilon=epsilon).flip(0)  # type: ignore[arg-type]
    assert int((whole != images).flatten(1).any(1).sum()) >= 2
    assert torch.equal(whole, alone)
    assert torch.equal(whole, back)
    assert float(whole.min()) >= 0
    assert float(whole.max()) <= 1
    if epsilon is not None:
        assert float(distances(images, whole, method.norm).max()) <= epsilon * (1 + 1e-5)


@pytest.mark.parametrize("name", ["boundary", "hopskipjump", "lsa", "pgd"])
def test_the_seed_decides_what_attacks_that_draw_find(name: str) -> None:
    model, images, labels = linear(4, bent=True, contrast=1.0)
    one, other = (
        attack(name, **{**ROBUST[name], "seed": seed}).run(model, images, labels, mode="minimum") for seed in (0, 1)
    )
    assert not torch.equal(one, other)


class Plateau(nn.Module):
    """Class 1 where the mean exceeds 0.505, else 0, with a gradient of zero."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean = images.flatten(1).double().mean(1)
        high = (mean > 0.505).float() + 0 * mean.float()
        return torch.stack([torch.full_like(high, 0.5), high], 1)


def test_ddn_draws_its_own_directions_where_the_gradient_vanishes() -> None:
    images = linear(2)[1]
    images = images - images.flatten(1).mean(1)[:, None, None, None] + 0.5
    labels = torch.zeros(len(images), dtype=torch.int64)
    one, other = (DDN(steps=10, seed=seed).run(Plateau(), images, labels, mode="minimum") for seed in (0, 1))
    torch.manual_seed(1)
    alone = DDN(steps=10).run(Plateau(), images, labels, mode="minimum", batch_size=1)
    assert bool(fooled(Plateau(), one, labels).any())
    assert torch.equal(one, alone)
    assert not torch.equal(one, other)


class Constant(nn.Module):
    """Class 0, whatever the image, with a gradient of zero."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out = torch.tensor([1.0, 0.0, 0.0]).expand(len(images), 3)
        return out + 0 * images.flatten(1).sum(1, keepdim=True)


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_an_attack_that_cannot_succeed_leaves_the_image(name: str) -> None:
    images, labels = linear(3)[1][:2], torch.zeros(2, dtype=torch.int64)
    settings = {**QUICK.get(name, {}), **({"grid": 4} if name == "fgsm" else {})}
    method = attack(name, **settings)
    assert torch.equal(method.run(Constant(), images, labels, mode="minimum"), images)
    starts = name not in ("boundary", "hopskipjump")
    assert method.unstarted(Constant(), images, labels).tolist() == [not starts] * 2


def test_starting_points_fool_and_lie_between_the_image_and_noise() -> None:
    model, images, labels = linear(3)
    start, started = starting_points(model, images, labels, 0)
    assert bool(started.all())
    assert bool(fooled(model, start, labels).all())
    assert torch.equal(start[1:3], starting_points(model, images[1:3], labels[1:3], 0)[0])
    # one blending step nearer does not fool: the points lie on k / 50 of the way
    assert float(distances(images, start, "l2").max()) < 4
