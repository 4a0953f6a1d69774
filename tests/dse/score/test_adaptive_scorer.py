"""What the scorer `adaptive` stores beside accuracy under attack."""

from __future__ import annotations

import pytest

from circuits import Design
from circuits.support.statistics import wilson
from cnn_eval import AdaptiveAttack, adaptive_robustness, predict
from cnn_eval.measure.network_accuracy import load_test_images, network
from dse import ScoreSettings
from dse.score.scorers.adaptive_scorer import ADAPTIVE

_IMAGES = 24


def test_clean_accuracy_is_that_of_the_attacked_network_without_attack() -> None:
    subject = Design(format="e3m2")  # so narrow that most images are misclassified without any attack
    settings = ScoreSettings(attack_images=_IMAGES, attack_epsilon=0.03, attack_steps=3, attack_restarts=1, seed=4)
    scores = ADAPTIVE.measure(subject, settings)
    images, labels = load_test_images(model="lenet5", dataset=None)
    right = predict(network(subject), images[:_IMAGES]) == labels[:_IMAGES]
    assert 0 < int(right.sum()) < _IMAGES
    assert scores["adaptive_clean"] == pytest.approx(100 * float(right.float().mean()))
    assert 0 < scores["adaptive_robustness"] < scores["adaptive_clean"]
    attack = AdaptiveAttack(epsilon=0.03, steps=3, restarts=1, seed=4)
    result = adaptive_robustness(subject, attack, samples=_IMAGES)
    robust = int(result.robust.sum())
    assert scores["adaptive_robustness"] == pytest.approx(100 * robust / _IMAGES)
    low, high = wilson(robust, _IMAGES)
    assert scores["adaptive_robustness_low"] == pytest.approx(100 * low)
    assert scores["adaptive_robustness_high"] == pytest.approx(100 * high)
    assert (scores["adaptive_images"], scores["adaptive_gradients"]) == (_IMAGES, len(result.gradients))
