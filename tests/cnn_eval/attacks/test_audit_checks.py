"""The checks of an audit on evidence written by hand: each passes on one side of its threshold, fails on the other."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from robust_networks import network

from cnn_eval import AuditSettings
from cnn_eval.audit.attack_log import TRANSFERRED, AttackLog
from cnn_eval.audit.audit_progress import Meter
from cnn_eval.audit.audit_report import Check
from cnn_eval.audit.check_evidence import Evidence, GradientSample, tolerated
from cnn_eval.audit.checks import ATTACK_CHECKS, GRADIENT_CHECKS, NETWORK_CHECKS, AuditCheck
from cnn_eval.audit.victim import module_victim
from cnn_eval.data.loading import load

COUNT = 60
CHECKS: dict[str, AuditCheck[Evidence]] = {check.name: check for check in (*NETWORK_CHECKS, *ATTACK_CHECKS)}


def log() -> AttackLog:
    """A log without attacks, in which every image counts as correctly classified."""
    data = load()
    settings = AuditSettings(epsilon=0.1)
    result = AttackLog(
        module_victim(network("normal"), name="normal"), data.images[:COUNT], data.labels[:COUNT], settings
    )
    result.right = torch.ones(COUNT, dtype=torch.bool)
    return result


def first(count: int) -> torch.Tensor:
    """The first `count` images, bool [COUNT]."""
    return torch.arange(COUNT) < count


@pytest.fixture
def evidence() -> Evidence:
    """Attacks that do what they should: PGD fools 30 images, its last iterate 28, FGSM 20, nothing else fools more."""
    subject, exact = log(), log()
    subject.fooled = {
        "FGSM, native": first(20),
        "PGD, native": first(30),
        "Square": first(25),
        "random noise": first(2),
        f"{TRANSFERRED}PGD, native": first(29),
    }
    exact.fooled = {"random noise": first(1)}
    subject.last = {"native": first(28)}
    subject.sizes = {"ddn": torch.full((COUNT,), 1.0), "deepfool": torch.full((COUNT,), 1.1)}
    exact.sizes = {"ddn": torch.full((COUNT,), 1.2), "deepfool": torch.full((COUNT,), 1.3)}
    return Evidence(
        subject=subject,
        exact=exact,
        meter=Meter(enabled=False),
        logit_ratio=1.0,
        gradients=(),
        attackers={"native": subject.victim.value},
        by_gradient=first(30),
        doubled=first(0),
        unfooled=30,
        decision_images=torch.arange(10),
        decision_norms=torch.full((10,), 1.1),
    )


def result(name: str, evidence: Evidence) -> Check:
    (check,) = CHECKS[name].results(evidence)
    return check


def test_every_check_has_a_name_of_its_own_and_says_why() -> None:
    checks = [*NETWORK_CHECKS, *GRADIENT_CHECKS, *ATTACK_CHECKS]
    assert len({check.name for check in checks}) == len(checks) == 18
    assert all(check.why for check in checks)


def test_an_iterative_attack_must_be_at_least_as_strong_as_one_step(evidence: Evidence) -> None:
    assert result("single step and iterative", evidence).passed
    evidence.subject.fooled["FGSM, native"] = first(31)
    check = result("single step and iterative", evidence)
    assert (check.name, check.passed) == ("single step and iterative, native", False)
    assert check.values == {"single": 31, "iterative": 30}


def test_the_best_iterate_must_not_fall_behind_the_last(evidence: Evidence) -> None:
    assert result("best iterate", evidence).passed
    evidence.subject.last["native"] = first(31)
    assert result("best iterate", evidence).passed is False


def test_doubled_effort_may_gain_two_percent_of_the_images(evidence: Evidence) -> None:
    allowed = tolerated(COUNT)
    assert (tolerated(1), allowed, tolerated(200)) == (1, 2, 4)
    name = "steps and restarts doubled"
    check = result(name, replace(evidence, doubled=first(allowed)))
    assert (check.passed, check.threshold) == (True, "at most 2")
    assert result(name, replace(evidence, doubled=first(allowed + 1))).passed is False
    assert result(name, replace(evidence, unfooled=0)).found == "no image was left to try them on"


@pytest.mark.parametrize("key", ["Square", "HopSkipJump", f"{TRANSFERRED}PGD, native", "random noise"])
def test_nothing_may_fool_images_that_gradient_attacks_do_not(key: str, evidence: Evidence) -> None:
    name = "white-box strongest, image by image"
    assert result(name, evidence).passed
    evidence.subject.fooled[key] = first(32)
    assert result(name, evidence).passed
    evidence.subject.fooled[key] = first(33)
    assert result(name, evidence).passed is False


def test_deepfool_alone_needing_more_noise_is_a_failure_of_deepfool(evidence: Evidence) -> None:
    sizes = evidence.subject.sizes
    for factor, passed in ((1.5, True), (1.6, False), (torch.inf, False)):
        sizes["deepfool"] = torch.full((COUNT,), factor)
        assert result("DeepFool against DDN", evidence).passed is passed
    sizes["ddn"] = torch.full((COUNT,), torch.inf)
    assert CHECKS["DeepFool against DDN"].results(evidence) == []


def test_decisions_alone_may_be_nearer_on_one_image_of_ten(evidence: Evidence) -> None:
    name = "HopSkipJump against DDN and DeepFool"
    for nearer, passed in ((1, True), (2, False)):
        norms = torch.where(torch.arange(10) < nearer, 0.9, 1.1)
        assert result(name, replace(evidence, decision_norms=norms)).passed is passed
    assert CHECKS[name].results(replace(evidence, decision_images=torch.arange(0))) == []


def test_few_images_and_other_logit_scales_fail_their_checks(evidence: Evidence) -> None:
    assert result("images", evidence).passed
    evidence.exact.right = first(49)
    assert result("images", evidence).passed is False
    for ratio, passed in ((0.5, True), (2.0, True), (0.49, False), (2.01, False)):
        assert result("logit scale", replace(evidence, logit_ratio=ratio)).passed is passed


def test_a_single_vanishing_gradient_fails_the_check() -> None:
    (zero, agreement) = GRADIENT_CHECKS
    whole = torch.ones(3, 1, 2, 2)
    lacking = whole * torch.tensor([1.0, 0.0, 1.0])[:, None, None, None]
    for margin, cross_entropy, passed in ((whole, whole, True), (lacking, whole, False), (whole, lacking, False)):
        (check,) = zero.results(GradientSample("ste", margin, cross_entropy, whole))
        assert (check.name, check.passed) == ("zero gradients, ste", passed)
    (check,) = agreement.results(GradientSample("ste", whole, whole, -whole))
    assert (check.passed, check.values["median"]) == (None, pytest.approx(-1))
