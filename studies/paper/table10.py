"""DA table 10: transfer of eight attacks from the exact LeNet-5 to LeNet-5 through HEAP and Ax-FPM, MNIST."""

from __future__ import annotations

from studies.frame.study import StudyOptions, StudyResult
from studies.paper.table2 import PUBLISHED as AXFPM
from studies.paper.table2 import SAMPLES
from studies.rows import transfer_rows
from studies.rows.attack_rows import setting
from studies.rows.further_victims import ALL_LAYERS

TITLE = "transfer of attacks from the exact LeNet-5 to those through HEAP and Ax-FPM"
SOURCE = "DA table 10"
TOLERANCE = 0.1
HEAP: dict[str, float] = {"FGSM": 16, "PGD": 30, "JSMA": 42, "C&W": 6, "DF": 18, "LSA": 41, "BA": 22, "HSJ": 4}


def run(options: StudyOptions) -> StudyResult:
    """Runs the attacks of table2 on the same samples. heap is a reconstruction."""
    further = {"all_layers": ("axfpm_released",), "matched": ("heap", "axfpm_released")}
    attacks = setting(options, SAMPLES, ("exact", "heap", "axfpm", "axfpm_released"), further=further)
    published = {"exact": dict.fromkeys(AXFPM, 100.0), "heap": HEAP}
    published |= dict.fromkeys(("axfpm", "axfpm_released", f"axfpm_released{ALL_LAYERS}"), AXFPM)
    return transfer_rows.result(attacks, published, " heap is a reconstruction, not the published circuit.")
