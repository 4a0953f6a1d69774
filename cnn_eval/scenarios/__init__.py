"""Attack scenarios: who attacks which network with what knowledge, and how success is counted.

    transfer    crafted on the source, the exact network; tried on every victim
    black-box   crafted on a substitute, trained on the victim's answers; tried on the victim
    white-box   crafted on the victim itself, through its own gradients

The *source* is the network that examples are crafted on, a *victim* a network that they are tried on. *Eligible* are
the samples that count: those that both classify correctly and that fool the source.
"""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "cnn_eval.scenarios.attacking": ("run_attack",),
        "cnn_eval.scenarios.control": (
            "CONTROL",
            "matched_control",
            "power_of_two_control",
        ),
        "cnn_eval.scenarios.scenario_runs": (
            "Attacked",
            "SCENARIOS",
            "Task",
            "black_box",
            "transfer_attack",
            "white_box",
        ),
        "cnn_eval.scenarios.substitute": (
            "Substitute",
            "SubstituteSettings",
            "train_substitute",
        ),
        "cnn_eval.scenarios.success": (
            "NOISE",
            "Outcome",
            "noise",
            "paired",
        ),
        "cnn_eval.scenarios.transfer": (
            "EXAMPLES",
            "TransferResult",
            "measure_transfer",
        ),
    },
)
