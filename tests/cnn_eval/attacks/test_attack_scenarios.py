"""Scenarios, the control network, the cache of crafted examples, and the attack command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from scipy.stats import binomtest
from torch import nn
from torch.nn import functional

from circuits import design
from cnn_eval import DataError, approximate, load_model, power_of_two_control, predict, run_attack
from cnn_eval.attacks.deepfool import DeepFool
from cnn_eval.attacks.fgsm import FGSM
from cnn_eval.attacks.pgd import PGD
from cnn_eval.attacks.shared.base import Attack
from cnn_eval.attacks.shared.primitives import distances
from cnn_eval.commands import main
from cnn_eval.data.loading import load
from cnn_eval.examples.example_cache import Crafted, cache_size, craft
from cnn_eval.examples.image_grid import save_grid
from cnn_eval.examples.network_fingerprint import model_digest
from cnn_eval.models.networks.lenet5 import LeNet5
from cnn_eval.scenarios.attacking import QUERY_IMAGES
from cnn_eval.scenarios.scenario_runs import Task, black_box, transfer_attack, white_box
from cnn_eval.scenarios.substitute import SubstituteSettings, first_images, reinitialised, train_substitute
from cnn_eval.scenarios.success import Outcome, judge, noise, paired

MODULE = """
import torch
from torch import nn

class Tenth(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 11, 28)

    def forward(self, images):
        return self.conv(images).flatten(1)

def never_right():
    model = Tenth()
    with torch.no_grad():
        model.conv.weight.zero_()
        model.conv.bias.zero_()
        model.conv.bias[10] = 1
    return model
"""


class Planted(nn.Module):
    """The class of an image is written in its first pixel, in tenths."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return functional.one_hot((images[:, 0, 0, 0] * 10).round().long(), 4).float()


class Shifted(Planted):
    """Reads the class from the second pixel."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images.roll(-1, 3))


@pytest.fixture(scope="module")
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    images = load()
    return images.images[:20], images.labels[:20]


# ---- counting


def test_outcomes_are_counted_by_hand() -> None:
    def images(classes: list[tuple[int, int]]) -> torch.Tensor:
        return torch.tensor([[c / 10 for c in pair] for pair in classes])[:, None, None]

    # (what the source says, what the victim says); every true class is 0
    clean = images([(0, 0), (0, 0), (0, 0), (0, 1), (2, 0), (0, 0)])
    adversarial = images([(1, 1), (1, 2), (1, 0), (1, 1), (2, 1), (0, 3)])
    labels = torch.zeros(6, dtype=torch.int64)
    source = Planted()
    outcome = judge(
        Shifted(),
        clean,
        adversarial,
        labels,
        source_clean=predict(source, clean),
        source_adversarial=predict(source, adversarial),
    )
    assert outcome.eligible.tolist() == [True, True, True, False, False, False]
    assert outcome.same_wrong.tolist() == [True, False, False, False, False, False]
    assert outcome.other_wrong.tolist() == [False, True, False, False, False, False]
    assert (outcome.fooled, outcome.rate) == (2, pytest.approx(2 / 3))
    assert outcome.interval[0] < 2 / 3 < outcome.interval[1]
    none = judge(source, clean, clean, labels, source_clean=labels, source_adversarial=labels)
    assert (none.rate, none.median_noise("l2"), none.interval) == (None, None, (0, 1))


def test_pairs_are_counted_by_hand() -> None:
    def outcome(eligible: str, same: str, other: str) -> Outcome:
        masks = (torch.tensor([mark == "x" for mark in text]) for text in (eligible, same, other))
        return Outcome(*masks, noise={})

    one = outcome("xxxxxxxx..", "xxxx......", "....xx....")
    other = outcome("xxxxxxx.xx", "x.......x.", ".........x")
    found = paired(one, other)
    # of the seven that both share, six fool the one, and one of these the other too
    assert (found.samples, found.only_one, found.only_other) == (7, 5, 0)
    assert found.p_value == binomtest(5, 5).pvalue == 2 / 32
    back = paired(other, one)
    assert (back.only_one, back.only_other, back.p_value) == (0, 5, found.p_value)
    nothing = paired(outcome("x.", "x.", ".."), outcome(".x", ".x", ".."))
    assert (nothing.samples, nothing.p_value) == (0, 1)


def test_noise_agrees_with_norms_and_psnr_by_hand() -> None:
    clean, other = torch.full((2, 1, 2, 2), 0.5), torch.full((2, 1, 2, 2), 0.5)
    other[0, 0] += torch.tensor([[0.3, 0.0], [-0.4, 0.0]])
    found = noise(clean, other)
    assert [float(found[key][0]) for key in ("l0", "l2", "linf", "mse")] == pytest.approx([2, 0.5, 0.4, 0.0625])
    assert float(found["psnr"][0]) == pytest.approx(12.0412, abs=1e-4)  # 20 log10(1 / sqrt(0.0625)), DA section 5.3
    assert float(found["psnr"][1]) == torch.inf
    with pytest.raises(ValueError, match=r"^pixels must lie in \[0, 1\], but image 1 reaches from 0.5 to 1.5; scale"):
        noise(clean, clean + torch.tensor([0.0, 1.0])[:, None, None, None] * torch.eye(2))


# ---- the control


def test_control_weights_are_rounded_up_to_powers_of_two() -> None:
    layer = nn.Sequential(nn.Conv2d(1, 1, (1, 7), bias=True))
    values = torch.tensor([0.3, -0.3, 1.0, -2.0, 0.0, 1e-40, 0.4999])
    layer[0].weight.data = values.reshape(1, 1, 1, 7)
    control = power_of_two_control(layer)
    assert control[0].weight.flatten().tolist() == [0.5, -0.5, 2.0, -4.0, 0.0, 0.0, 0.5]
    assert torch.equal(layer[0].weight.flatten(), values)
    assert torch.equal(control[0].bias, layer[0].bias)
    with pytest.raises(ValueError, match="the model must have a layer to change, but layers='linear' finds none"):
        power_of_two_control(layer, layers="linear")


@pytest.mark.parametrize("layers", ["conv", "all"])
def test_the_control_is_the_axfpm_network(layers: str, model: nn.Module) -> None:
    """FACTS 3: the flat axfpm network is the exact network with the control's weights."""
    images = load().images[:50]
    victim, control = approximate(model, design("axfpm"), layers=layers), power_of_two_control(model, layers=layers)
    with torch.no_grad():
        torch.testing.assert_close(victim(images), control(images), rtol=1e-4, atol=1e-3)
    assert torch.equal(predict(victim, images), predict(control, images))
    with torch.no_grad():
        tiled = approximate(model, design("axfpm_tiled"), layers=layers)(images)
    assert not torch.allclose(tiled, control(images), rtol=1e-3, atol=1e-2)


# ---- scenarios


def test_transfer_agrees_with_its_definition(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = batch
    victims = {"tiled": approximate(model, design("axfpm_tiled")), "control": power_of_two_control(model)}
    task = Task(attack=DeepFool(), mode="minimum", epsilon=None, images=images, labels=labels)
    found = transfer_attack(task, model, victims)
    adversarial = DeepFool().run(model, images, labels, mode="minimum")
    for name, victim in victims.items():
        eligible = (predict(model, images) == labels) & (predict(victim, images) == labels)
        eligible &= predict(model, adversarial) != labels
        outcome = found[name].outcome
        assert torch.equal(outcome.eligible, eligible)
        assert torch.equal(outcome.success, eligible & (predict(victim, adversarial) != labels))
        assert torch.equal(found[name].crafted.adversarial, adversarial)
        # FACTS 3: some of the examples just past the boundary do not transfer
        assert 0 < outcome.fooled < int(eligible.sum())


def test_white_box_attacks_each_network_itself(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    images, labels = batch
    victims = {
        gradient: approximate(model, design("axfpm_tiled"), backward=gradient, compute="lowered")
        for gradient in ("ste", "slope")
    }
    task = Task(attack=DeepFool(), mode="minimum", epsilon=None, images=images[:6], labels=labels[:6])
    found = white_box(task, {"exact": model, **victims})
    for name, victim in {"exact": model, **victims}.items():
        outcome, adversarial = found[name].outcome, found[name].crafted.adversarial
        assert torch.equal(outcome.eligible, predict(victim, images[:6]) == labels[:6])
        assert torch.equal(outcome.success, outcome.eligible & (predict(victim, adversarial) != labels[:6]))
        assert outcome.rate
    assert not torch.equal(found["ste"].crafted.adversarial, found["slope"].crafted.adversarial)


class Counting(nn.Module):
    """Counts the images it is asked about."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.asked = inner, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.asked += len(images)
        assert 0 <= float(images.min()) <= float(images.max()) <= 1
        return self.inner(images)  # type: ignore[no-any-return]


def test_a_substitute_counts_its_queries_and_learns(model: nn.Module) -> None:
    first = load().images[-20:]
    victim = Counting(model)
    torch.manual_seed(0)
    untrained = LeNet5()
    before = {key: value.clone() for key, value in untrained.state_dict().items()}
    settings = SubstituteSettings(rounds=3, epochs=8, batch_size=8)
    made = train_substitute(victim, untrained, first, settings)
    assert victim.asked == made.queries == 20 * 2**3
    assert made.agreement > 0.6
    assert not made.network.training
    assert all(torch.equal(before[key], value) for key, value in untrained.state_dict().items())
    torch.manual_seed(1)  # the global generator must not matter
    again = train_substitute(model, untrained, first, settings)
    same = zip(made.network.state_dict().values(), again.network.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in same)
    with pytest.raises(ValueError, match="the substitute must have images to start from, but there are none"):
        train_substitute(victim, untrained, first[:0], settings)

    images, labels = load().images[:20], load().labels[:20]
    task = Task(attack=FGSM(), mode="budget", epsilon=0.3, images=images, labels=labels)
    outcome = black_box(task, {"victim": made}, {"victim": model})["victim"].outcome
    adversarial = FGSM().run(made.network, images, labels, mode="budget", epsilon=0.3)
    right = (predict(made.network, images) == labels) & (predict(model, images) == labels)
    assert torch.equal(outcome.eligible, right & (predict(made.network, adversarial) != labels))
    assert torch.equal(outcome.success, outcome.eligible & (predict(model, adversarial) != labels))


class Recording(nn.Module):
    """Keeps the images that it is asked about and says class 1 to all of them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.asked.append(images)
        return torch.tensor([0.0, 1.0, 0.0]).expand(len(images), 3)


def test_new_images_of_a_substitute_ascend_the_logit_of_the_victims_class() -> None:
    """Algorithm 1, line 6, on a linear substitute, whose gradient is its row of weights; its own class would be 2."""
    victim, untrained = Recording(), nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with torch.no_grad():
        untrained[1].weight.copy_(torch.tensor([[9.0, 9, 9, 9], [1, -1, 2, -3], [-8, 8, -8, 8]]))
        untrained[1].bias.copy_(torch.tensor([0.0, 0, 99]))
    images = torch.tensor([[[[0.5, 0.5], [0.95, 0.05]]], [[[0.25, 0.75], [0.5, 0.5]]]])
    settings = SubstituteSettings(rounds=1, step=0.1, epochs=1, learning_rate=1e-9)
    assert train_substitute(victim, untrained, images, settings).queries == 4
    first, new = victim.asked
    assert torch.equal(first, images)
    expected = torch.tensor([[[[0.6, 0.4], [1.0, 0.0]]], [[[0.35, 0.65], [0.6, 0.4]]]])
    assert torch.allclose(new, expected, atol=1e-6)


def test_first_images_are_of_every_class() -> None:
    labels = torch.tensor([0, 1, 2, 0, 1, 0, 0, 0, 2, 0])
    assert first_images(labels, 6).tolist() == [1, 2, 4, 7, 8, 9]
    assert first_images(labels, 8).tolist() == [1, 2, 4, 5, 6, 7, 8, 9]  # classes 1 and 2 have no more
    counts = torch.bincount(load().labels[100:][first_images(load().labels[100:], 150)])
    assert counts.tolist() == [15] * 10


def test_a_substitute_starts_from_new_weights(model: nn.Module) -> None:
    one, same, other = (reinitialised(model, seed=seed).state_dict() for seed in (0, 0, 1))
    for key, value in model.state_dict().items():
        assert torch.equal(one[key], same[key])
        assert not torch.equal(one[key], value)
        assert not torch.equal(one[key], other[key])
    planted = nn.Module()
    planted.weight = nn.Parameter(torch.zeros(1))
    with pytest.raises(ValueError, match=r"every module with weights must have reset_parameters, but Module has none"):
        reinitialised(planted, seed=0)


def test_a_network_that_is_always_wrong_is_refused(batch: tuple[torch.Tensor, torch.Tensor]) -> None:
    task = Task(attack=FGSM(), mode="minimum", epsilon=None, images=batch[0], labels=batch[1] + 10)
    with pytest.raises(ValueError, match="must classify a sample rightly, but the exact network classifies none of 20"):
        transfer_attack(task, load_model("lenet5"), {})


@pytest.mark.parametrize("scenario", ["transfer", "white-box"])
def test_run_attack_is_the_scenario_by_names(scenario: str, model: nn.Module) -> None:
    record = run_attack(design("axfpm"), "fgsm", samples=10, scenario=scenario, mode="budget", compute="lowered")
    images, labels = load().images[:10], load().labels[:10]
    task = Task(attack=FGSM(), mode="budget", epsilon=0.1, images=images, labels=labels)
    victims = {"axfpm": approximate(model, design("axfpm"), compute="lowered")}
    expected = (white_box(task, victims) if scenario == "white-box" else transfer_attack(task, model, victims))["axfpm"]
    assert torch.equal(record.adversarial, expected.crafted.adversarial)
    assert torch.equal(record.outcome.success, expected.outcome.success)
    assert (record.design, record.scenario, record.rate) == ("axfpm", scenario, expected.outcome.rate)
    assert record.settings == FGSM().settings(mode="budget", epsilon=0.1)  # MNIST's convention
    assert record.interval[0] <= (record.rate or 0) <= record.interval[1]
    assert torch.equal(record.labels, labels)


def test_run_attack_trains_a_substitute_on_images_that_it_does_not_attack() -> None:
    settings = SubstituteSettings(rounds=0, epochs=1)
    record = run_attack(
        design("axfpm"), FGSM(), samples=4, scenario="black-box", mode="budget", epsilon=0.3, substitute=settings,
        compute="lowered",
    )  # fmt: skip
    assert record.substitute is not None
    assert record.substitute.queries == QUERY_IMAGES
    assert record.adversarial.shape == (4, 1, 28, 28)


def test_run_attack_names_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"^unknown scenario 'transfr'; nearest: transfer"):
        run_attack(design("axfpm"), "fgsm", scenario="transfr")
    with pytest.raises(ValueError, match=r"^mode 'budget' needs an epsilon: there is no default in the norm l0; give"):
        run_attack(design("axfpm"), "jsma", mode="budget")
    with pytest.raises(ValueError, match=r"^epsilon must be left out in mode 'minimum', but got 0\.1"):
        run_attack(design("axfpm"), "fgsm", epsilon=0.1, samples=2)


# ---- the cache


def stored(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor], folder: Path, made: Attack = FGSM()) -> Crafted:  # noqa: B008
    return craft(model, made, *batch, mode="budget", epsilon=0.2, cache=folder)


def test_what_was_crafted_is_found_again(
    model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stored(model, batch, tmp_path)
    assert not first.reused
    assert first.path is not None
    assert cache_size(tmp_path) == (1, sum(path.stat().st_size for path in tmp_path.iterdir()))
    monkeypatch.setattr(FGSM, "run", None)  # nothing is crafted twice
    again = stored(load_model("lenet5"), batch, tmp_path)
    assert again.reused
    assert torch.equal(again.adversarial, first.adversarial)
    assert torch.equal(again.class_, predict(model, first.adversarial))
    assert torch.equal(again.clean_class, predict(model, batch[0]))
    assert json.loads(first.path.with_suffix(".json").read_text())["settings"]["epsilon"] == 0.2
    assert craft(model, DeepFool(), batch[0][:2], batch[1][:2], mode="minimum").path is None


def test_every_part_of_the_content_decides_the_cache_entry(
    model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    small = (batch[0][:2], batch[1][:2])
    other = load_model("lenet5")
    with torch.no_grad():
        other.get_parameter("conv1.bias")[0] += 1e-3
    paths = {
        stored(model, small, tmp_path).path,
        stored(other, small, tmp_path).path,
        stored(model, (small[0].flip(0), small[1]), tmp_path).path,
        stored(model, (small[0], small[1].flip(0)), tmp_path).path,
        stored(model, small, tmp_path, FGSM(grid=8)).path,
        stored(model, small, tmp_path, PGD(steps=1)).path,
        stored(model, small, tmp_path, PGD(steps=1, seed=1)).path,
    }
    assert len(paths) == 7
    digests = {
        model_digest(approximate(model, design(name), backward=backward))
        for name in ("axfpm", "axfpm_tiled")
        for backward in ("ste", "slope")
    }
    assert len(digests) == 4


@pytest.mark.parametrize("damage", ["cut", "altered", "foreign", "record"])
def test_a_damaged_entry_is_named_and_crafted_again(
    damage: str, model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    path = stored(model, batch, tmp_path).path
    assert path is not None
    content, record = path.read_bytes(), path.with_suffix(".json")
    if damage == "cut":
        path.write_bytes(content[:-100])
    elif damage == "altered":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "foreign":
        document = json.loads(record.read_text())
        record.write_text(json.dumps({**document, "model": "00"}))
    else:
        record.write_text("{")
    again = stored(model, batch, tmp_path)
    assert not again.reused
    assert again.damage is not None
    assert str(tmp_path) in again.damage
    assert again.damage.endswith("the entry is not used.")
    repaired = stored(model, batch, tmp_path)
    assert repaired.reused
    assert repaired.damage is None
    assert path.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_refused_first(
    model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="the output folder must be writable, but"):
        stored(model, batch, tmp_path / "file" / "below")
    assert not isinstance(DataError("x"), OSError)


# ---- the command


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> SimpleNamespace:
    try:
        status = main(list(arguments))
    except SystemExit as exit:
        status = exit.code
    captured = capsys.readouterr()
    return SimpleNamespace(status=status, out=captured.out, err=captured.err)


@pytest.fixture
def cached(tmp_path: Path) -> list[str]:
    return ["--cache", str(tmp_path / "cache"), "--samples", "20", "--compute", "lowered"]


@pytest.mark.slow
def test_attack_command_prints_transfer_rates_of_designs_and_the_control(
    capsys: pytest.CaptureFixture[str], cached: list[str], tmp_path: Path
) -> None:
    arguments = ["attack", "axfpm", "axfpm_tiled", "--attacks", "deepfool", "fgsm", *cached]
    done = run(capsys, *arguments, "--grid", str(tmp_path / "grid.png"))
    assert done.status == 0
    assert [line.split()[:2] for line in done.out.splitlines() if "deepfool" in line][:3] == [
        ["axfpm", "deepfool"],
        ["axfpm_tiled", "deepfool"],
        ["control", "deepfool"],
    ]
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads(run(capsys, *arguments, "--format", "json").out)
    assert document["scenario"] == "transfer"
    rows = document["results"]
    assert all(row["reused"] for row in rows)
    axfpm, tiled, control = rows[:3]
    assert (axfpm["fooled"], axfpm["eligible"]) == (control["fooled"], control["eligible"])
    assert tiled["digest"] == design("axfpm_tiled").digest
    assert axfpm["same_wrong"] + axfpm["other_wrong"] == axfpm["fooled"]
    assert axfpm["fooled"] + axfpm["not_fooled"] == axfpm["eligible"]
    assert axfpm["noise_median"]["psnr"] > 10
    # the same examples, by the library
    images = load()
    adversarial = DeepFool().run(load_model("lenet5"), images.images[:20], images.labels[:20], mode="minimum")
    median = distances(images.images[:20], adversarial, "l2").median()
    assert axfpm["noise_mean"]["l2"] == pytest.approx(float(median), rel=0.5)


def test_attack_command_pairs_networks_on_the_same_examples(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    """The pairs are counted again from the networks' answers; p is SciPy's."""
    names = ("axfpm_tiled", "bfloat16", "ama1_array")
    arguments = ["attack", *names, "--attacks", "fgsm", "pgd", "--mode", "budget", "--epsilon", "0.1"]
    arguments += ["--samples", "20", "--cache", str(tmp_path), "--set", "pgd.steps=5"]
    document = json.loads(run(capsys, *arguments, "--format", "json").out)
    images, labels = batch
    adversarial = FGSM().run(model, images, labels, mode="budget", epsilon=0.1)
    victims = {name: approximate(model, design(name)) for name in names} | {"control": power_of_two_control(model)}
    counted, fooled_by = {}, {}
    source = (predict(model, images) == labels) & (predict(model, adversarial) != labels)
    for name, victim in victims.items():
        counted[name] = source & (predict(victim, images) == labels)
        fooled_by[name] = predict(victim, adversarial) != labels
    found = {(pair["attack"], pair["one"], pair["other"]): pair for pair in document["paired"]}
    assert len(found) == 2 * 6
    differing = 0
    for (attack, one, other), pair in found.items():
        if attack != "fgsm":
            continue
        both = [i for i in range(20) if counted[one][i] and counted[other][i]]
        marks = [(bool(fooled_by[one][i]), bool(fooled_by[other][i])) for i in both]
        lone, rest = marks.count((True, False)), marks.count((False, True))
        assert (pair["samples"], pair["only_one"], pair["only_other"]) == (len(both), lone, rest)
        assert pair["p"] == pytest.approx(binomtest(lone, lone + rest).pvalue if lone + rest else 1, rel=1e-12)
        differing += lone + rest
    assert differing > 0
    shown = run(capsys, *arguments).out
    assert "p of McNemar's exact test" in shown
    assert sum(line.split()[:3] == ["axfpm_tiled", "bfloat16", "fgsm"] for line in shown.splitlines()) == 1


@pytest.mark.slow
def test_attack_command_runs_white_box_and_black_box_scenarios(
    capsys: pytest.CaptureFixture[str], cached: list[str]
) -> None:
    white = ["attack", "axfpm_tiled", "--attacks", "deepfool", "--scenario", "white-box", "--backward", "slope"]
    rows = json.loads(run(capsys, *white, *cached, "--format", "json").out)["results"]
    assert [row["design"] for row in rows] == ["exact (torch)", "axfpm_tiled", "control"]
    assert all(row["fooled"] > 0 for row in rows)
    printed = " ".join(run(capsys, *white, *cached).out.split())
    assert "Of samples that each network classifies correctly; control: the exact network" in printed
    black = [
        "attack",
        "axfpm_tiled",
        "--attacks",
        "fgsm",
        "--scenario",
        "black-box",
        "--rounds",
        "1",
        "--mode",
        "budget",
    ]
    rows = json.loads(run(capsys, *black, "--epsilon", "0.3", *cached, "--format", "json").out)["results"]
    assert [row["queries"] for row in rows] == [300, 300, 300]


def test_hyperparameters_reach_the_attack(capsys: pytest.CaptureFixture[str], cached: list[str]) -> None:
    command = ["attack", "axfpm", "--attacks", "pgd", "fgsm", "--mode", "budget", "--epsilon", "0.2", *cached]
    options = ["--format", "json", "--set", "pgd.steps=3", "--set", "pgd.random_start=false", "--seed", "5"]
    pgd, fgsm = json.loads(run(capsys, *command, *options).out)["attacks"]
    assert (pgd["steps"], pgd["random_start"], pgd["seed"], pgd["epsilon"]) == (3, False, 5, 0.2)
    assert "seed" not in fgsm


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--attacks", "fgms"], "unknown attack 'fgms'; nearest: fgsm."),
        (
            ["--attacks", "jsma", "--mode", "budget"],
            "--mode budget must have --epsilon in the norm l0, for which there is no default; give one.",
        ),
        (
            ["--attacks", "fgsm", "--mode", "budget", "--epsilon", "nan"],
            "--epsilon must be a number of at least 0, but is nan; give another.",
        ),
        (
            ["--attacks", "fgsm", "deepfool", "--mode", "budget"],
            "attacks under one budget must have one norm, but have l2, linf; run them apart.",
        ),
        (
            ["--attacks", "fgsm", "--epsilon", "0.1"],
            "--epsilon is for --mode budget, but the mode is minimum; leave out 0.1.",
        ),
        (
            ["--attacks", "fgsm", "deepfool", "--mode", "budget", "--epsilon", "0.1"],
            "attacks under one budget must have one norm, but have l2, linf; run them apart.",
        ),
        (
            ["--attacks", "fgsm", "--backward", "ste"],
            "--backward is for --scenario white-box, but that is transfer; leave it out.",
        ),
        (
            ["--attacks", "fgsm", "--set", "grid"],
            "--set takes KEY=VALUE or ATTACK.KEY=VALUE, but got 'grid'; correct it.",
        ),
        (["--attacks", "fgsm", "--set", "grid=x"], "fgsm.grid must be an integer, but got 'x'; correct it."),
        (
            ["--attacks", "fgsm", "--set", "steps=1"],
            "unknown hyperparameter 'steps' of fgsm; fgsm works in linf and takes grid (an "
            "integer, by default 256), halvings (an integer, by default 4), largest (a number, by default 1.0).",
        ),
        (["--attacks", "fgsm", "--grid", "a.jpg"], "the images' file must end in .png, but is a.jpg; rename it."),
        (
            ["--attacks", "fgsm", "--samples", "2001"],
            "1 <= samples <= 2000 must hold for the test images, but got 2001; choose fewer.",
        ),
        (
            ["--attacks", "fgsm", "--scenario", "black-box", "--samples", "1900"],
            "1 <= samples <= 1850 must hold for the test images left to attack, but got 1900; choose fewer.",
        ),
    ],
)
def test_mistakes_of_the_attack_command_are_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = run(capsys, "attack", "axfpm", *arguments, "--cache", str(tmp_path))
    assert (done.status, done.out, done.err) == (2, "", f"error: {message}\n")


def test_without_an_eligible_sample_no_table_is_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attack that never succeeds, a model that is never right, images out of range."""
    common = ["--samples", "10", "--cache", str(tmp_path / "cache"), "--compute", "lowered"]
    done = run(capsys, "attack", "axfpm", "--attacks", "fgsm", "--mode", "budget", "--epsilon", "0", *common)
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines() == [
        "note: fgsm never fooled the network it was crafted on (10 images)",
        "error: a sample must be eligible, but none is: fgsm never fooled the network it was crafted on (10 images); "
        "give more samples, a larger budget or another attack.",
    ]
    (tmp_path / "wrongnets.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "wrongnets", raising=False)
    done = run(capsys, "attack", "axfpm", "--model", "wrongnets:never_right", "--attacks", "fgsm", *common)
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "error: the attacked network must classify a sample rightly, but the exact network classifies none of 10; "
        "check its weights and the images.\n"
    )
    save_file({"images": 255 * load().images[:10], "labels": load().labels[:10]}, tmp_path / "bytes.safetensors")
    done = run(capsys, "attack", "axfpm", "--attacks", "fgsm", "--data", str(tmp_path / "bytes.safetensors"), *common)
    assert (done.status, done.out) == (2, "")
    assert done.err.splitlines()[-1].endswith(
        "pixels must lie in [0, 1], but image 0 reaches from 0 to 255 (and 9 more); scale the images, and let the "
        "network normalise them."
    )


def test_attacks_that_do_not_start_are_noted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No noise is tried as a starting point."""
    monkeypatch.setattr("cnn_eval.attacks.shared.starting.DIRECTIONS", 0)
    common = ["--samples", "10", "--cache", str(tmp_path), "--compute", "lowered"]
    done = run(capsys, "attack", "axfpm", "--attacks", "boundary", *common)
    assert (done.status, done.out) == (2, "")
    assert "note: boundary found no starting point for 10 of 10 images" in done.err.splitlines()


def test_grid_draws_colour_and_grey(tmp_path: Path) -> None:
    from matplotlib.image import imread

    generator = torch.Generator().manual_seed(0)
    classes = torch.tensor([0, 1])
    for channels in (1, 3):
        clean, adversarial = (torch.rand(2, channels, 8, 8, generator=generator) for _ in range(2))
        path = tmp_path / f"{channels}.png"
        save_grid(path, {"one": (clean, adversarial, classes, classes), "other": (clean, clean, classes, classes)})
        pixels = imread(path)[..., :3]
        assert pixels.shape[0] > pixels.shape[1]  # six rows of two pictures
        coloured = float(abs(pixels[..., 0] - pixels[..., 2]).max()) > 0.1
        assert coloured == (channels == 3)
