"""DA table 3: transfer of eight attacks from the exact to the approximate AlexNet, CIFAR-10."""

from __future__ import annotations

from studies.frame.study import StudyOptions, StudyResult
from studies.paper.table2 import FURTHER, SUBJECTS
from studies.rows import transfer_rows
from studies.rows.attack_rows import setting
from studies.rows.further_victims import ALL_LAYERS

TITLE = "transfer of attacks from the exact to the approximate AlexNet"
SOURCE = "DA table 3"
TOLERANCE = 0.1
PUBLISHED: dict[str, float] = {
    "FGSM": 38,
    "PGD": 31,
    "JSMA": 32,
    "C&W": 17,
    "DF": 35,
    "LSA": 36,
    "BA": 37,
    "HSJ": 12,
}
SAMPLES = {"quick": 12, "default": 50, "full": 250}
"""Level full takes enough for at least 100 eligible examples of every attack; axfpm is right on .6 of the images."""
SLOW = {"quick": 4, "default": 5}
"""Number of samples for the slow attacks (attack_rows.SLOW), where it is smaller."""


def run(options: StudyOptions) -> StudyResult:
    """Attacks the circuits that Ax-FPM may stand for, and the control.

    Level quick has shorter searches on fewer samples.
    """
    attacks = setting(options, SAMPLES, SUBJECTS, model="alexnet", slow=SLOW, further=FURTHER)
    published = dict.fromkeys((*SUBJECTS, f"axfpm_released{ALL_LAYERS}"), PUBLISHED)
    return transfer_rows.result(attacks, published)
