"""Audit: does a network resist attacks better than the exact one, and can that be believed?

`audit(design("axfpm"), exact, images, labels).sentence`. Every check says what it found and what hangs on it; success
is the worst case over all attacks, image by image. After Carlini et al., "On Evaluating Adversarial Robustness", arXiv
1902.06705.
"""

from cnn_eval.audit.audit_report import VERDICTS, AttackResult, AuditReport, Check, TransferPair
from cnn_eval.audit.audit_settings import AuditSettings
from cnn_eval.audit.auditing import Reference, audit

__all__ = [
    "VERDICTS",
    "AttackResult",
    "AuditReport",
    "AuditSettings",
    "Check",
    "Reference",
    "TransferPair",
    "audit",
]
