"""Evaluates approximate multipliers inside convolutional networks: data, trained models, layers, attacks, scenarios.

    >>> from circuits import design
    >>> from cnn_eval import measure_accuracy
    >>> measure_accuracy(design("axfpm"), model="lenet5", samples=200).accuracy
    0.995

Importing this package imports nothing heavy; every name is imported on first use. It asks OpenMP, before torch loads
it, to let waiting threads sleep (OMP_WAIT_POLICY, unless that is set): the networks are small and attacks call them
thousands of times. Where another program wants a core, two spinning threads took eleven times the processor time of
one (study figures8_11, quick), two sleeping ones a third more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from circuits.support.lazy import lazy_names

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

if TYPE_CHECKING:
    from cnn_eval.attacks.attack_registry import ATTACKS as ATTACKS
    from cnn_eval.attacks.attack_registry import attack as attack
    from cnn_eval.attacks.shared.base import MissingExtraError as MissingExtraError
    from cnn_eval.audit.audit_report import AuditReport as AuditReport
    from cnn_eval.audit.audit_settings import AuditSettings as AuditSettings
    from cnn_eval.audit.auditing import run_audit as run_audit
    from cnn_eval.layers.approximation import approximate as approximate
    from cnn_eval.layers.operand_recording import recorded_operands as recorded_operands
    from cnn_eval.layers.replaceable_layers import unreplaced as unreplaced
    from cnn_eval.measure.margin_curves import measure_margins as measure_margins
    from cnn_eval.measure.network_accuracy import AccuracyResult as AccuracyResult
    from cnn_eval.measure.network_accuracy import difference as difference
    from cnn_eval.measure.robustness import AdaptiveAttack as AdaptiveAttack
    from cnn_eval.measure.robustness import adaptive_robustness as adaptive_robustness
    from cnn_eval.measure.sensitivities import measure_sensitivity as measure_sensitivity
    from cnn_eval.measurements import load_images as load_images
    from cnn_eval.measurements import load_model as load_model
    from cnn_eval.measurements import measure_accuracy as measure_accuracy
    from cnn_eval.models.inference import predict as predict
    from cnn_eval.models.registry import MODELS as MODELS
    from cnn_eval.quantized.accumulators import Accumulator as Accumulator
    from cnn_eval.quantized.post_training import quantize as quantize
    from cnn_eval.quantized.quantized_files import load_quantized as load_quantized
    from cnn_eval.quantized.quantized_files import save_quantized as save_quantized
    from cnn_eval.quantized.recovery import recover as recover
    from cnn_eval.retraining.finetune_settings import FinetuneSettings as FinetuneSettings
    from cnn_eval.retraining.finetuning import finetune as finetune
    from cnn_eval.scenarios.attacking import AttackRecord as AttackRecord
    from cnn_eval.scenarios.attacking import run_attack as run_attack
    from cnn_eval.scenarios.control import CONTROL as CONTROL
    from cnn_eval.scenarios.control import matched_control as matched_control
    from cnn_eval.scenarios.control import power_of_two_control as power_of_two_control
    from cnn_eval.scenarios.transfer import TransferResult as TransferResult
    from cnn_eval.scenarios.transfer import measure_transfer as measure_transfer
    from cnn_eval.support.verified_files import DataError as DataError
else:
    __getattr__, __dir__, __all__ = lazy_names(
        __name__,
        {
            "cnn_eval.attacks.attack_registry": ("ATTACKS", "attack"),
            "cnn_eval.attacks.shared.base": ("MissingExtraError",),
            "cnn_eval.audit.audit_report": ("AuditReport",),
            "cnn_eval.audit.audit_settings": ("AuditSettings",),
            "cnn_eval.audit.auditing": ("run_audit",),
            "cnn_eval.layers.approximation": ("approximate",),
            "cnn_eval.layers.operand_recording": ("recorded_operands",),
            "cnn_eval.layers.replaceable_layers": ("unreplaced",),
            "cnn_eval.measure.margin_curves": ("measure_margins",),
            "cnn_eval.measure.network_accuracy": ("AccuracyResult", "difference"),
            "cnn_eval.measure.robustness": ("AdaptiveAttack", "adaptive_robustness"),
            "cnn_eval.measure.sensitivities": ("measure_sensitivity",),
            "cnn_eval.measurements": ("load_images", "load_model", "measure_accuracy"),
            "cnn_eval.models.inference": ("predict",),
            "cnn_eval.models.registry": ("MODELS",),
            "cnn_eval.quantized.accumulators": ("Accumulator",),
            "cnn_eval.quantized.post_training": ("quantize",),
            "cnn_eval.quantized.quantized_files": ("load_quantized", "save_quantized"),
            "cnn_eval.quantized.recovery": ("recover",),
            "cnn_eval.retraining.finetune_settings": ("FinetuneSettings",),
            "cnn_eval.retraining.finetuning": ("finetune",),
            "cnn_eval.scenarios.attacking": ("AttackRecord", "run_attack"),
            "cnn_eval.scenarios.control": ("CONTROL", "matched_control", "power_of_two_control"),
            "cnn_eval.scenarios.transfer": ("TransferResult", "measure_transfer"),
            "cnn_eval.support.verified_files": ("DataError",),
        },
    )
