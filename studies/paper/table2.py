"""DA table 2: transfer of eight attacks from the exact to the approximate LeNet-5, MNIST."""

from __future__ import annotations

from studies.frame.study import StudyOptions, StudyResult
from studies.rows import transfer_rows
from studies.rows.attack_rows import setting
from studies.rows.further_victims import ALL_LAYERS

TITLE = "transfer of attacks from the exact to the approximate LeNet-5"
SOURCE = "DA table 2"
TOLERANCE = 0.1
PUBLISHED: dict[str, float] = {"FGSM": 12, "PGD": 28, "JSMA": 9, "C&W": 1, "DF": 17, "LSA": 18, "BA": 17, "HSJ": 2}
SUBJECTS = ("axfpm", "axfpm_tiled", "axfpm_released")
FURTHER = {
    "all_layers": ("axfpm_released",),
    "recovered": ("axfpm", "axfpm_released"),
    "matched": ("axfpm_released",),
}
"""Victims beside them: the authors' code, which takes all layers; with gains and biases corrected; the control."""
SAMPLES = {"quick": 16, "default": 100, "full": 1000}


def run(options: StudyOptions) -> StudyResult:
    """Attacks the circuits that Ax-FPM may stand for, and the control. Level quick has shorter searches."""
    attacks = setting(options, SAMPLES, SUBJECTS, further=FURTHER)
    published = dict.fromkeys((*SUBJECTS, f"axfpm_released{ALL_LAYERS}"), PUBLISHED)
    return transfer_rows.result(attacks, published)
