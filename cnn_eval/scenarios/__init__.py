"""Attack scenarios: transfer, black-box and white-box attacks on networks through designs, and how they are counted."""

from cnn_eval.scenarios.control import CONTROL, CONTROL_NOTE, power_of_two_control
from cnn_eval.scenarios.scenario_runs import SCENARIOS, Attacked, Task, black_box, transfer_attack, white_box
from cnn_eval.scenarios.substitute import Substitute, SubstituteSettings, first_images, reinitialised, train_substitute
from cnn_eval.scenarios.success import NOISE, Outcome, Paired, noise, paired
from cnn_eval.scenarios.transfer import EXAMPLES, TransferResult, transfer

__all__ = [
    "CONTROL",
    "CONTROL_NOTE",
    "EXAMPLES",
    "NOISE",
    "SCENARIOS",
    "Attacked",
    "Outcome",
    "Paired",
    "Substitute",
    "SubstituteSettings",
    "Task",
    "TransferResult",
    "black_box",
    "first_images",
    "noise",
    "paired",
    "power_of_two_control",
    "reinitialised",
    "train_substitute",
    "transfer",
    "transfer_attack",
    "white_box",
]
