"""Audit: does a network resist attacks better than the exact one, and can that be believed?

    run_audit(design("axfpm"), exact, images, labels).sentence

Every check says what was measured and why the answer matters. Success is the worst case over all attacks, image by
image. After Carlini et al., "On Evaluating Adversarial Robustness", arXiv 1902.06705. The terms, used throughout:

    subject    what is audited: a design, a design for each layer, or a network
    exact      the same network with exact products, audited beside the subject; `Reference` keeps its results
    victim     a network under attack, the subject's or the exact one, with the ways to differentiate it (`Victim`)
    judge      the victim's gate-exact network: only what fools the judge counts
    native     the gradient that autograd gives through the victim as it is
    surrogate  another gradient for the same logits: another backward mode, or the exact network's
    eligible   the images that subject and exact network both classify correctly; rates are shares of them
    fooled     an eligible image for which an adversarial image within the budget changes the judge's class
"""

from __future__ import annotations

from circuits.support.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "cnn_eval.audit.audit_reference": ("Reference",),
        "cnn_eval.audit.audit_report": (
            "AttackResult",
            "AuditReport",
            "TransferPair",
        ),
        "cnn_eval.audit.audit_settings": ("AuditSettings",),
        "cnn_eval.audit.auditing": ("run_audit",),
        "cnn_eval.audit.verdict_rules": ("VERDICTS",),
    },
)
