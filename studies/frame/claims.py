"""The claims of the paper (DA), each with a selector for the study rows that test it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from cnn_eval.scenarios.control import CONTROL
from studies.frame.claim_rules import Direction, above, below
from studies.frame.claim_verdicts import Claim
from studies.frame.study import Row, StudyResult
from studies.frame.verdict_text import KEPT, NEARLY_ALL, SELDOM
from studies.rows.further_victims import ALL_LAYERS, MATCHED

_FLAT, _RELEASED, _HEAP = "axfpm", "axfpm_released", "heap (reconstructed)"
_ALL = f"{_RELEASED}{ALL_LAYERS}"
"""The authors' code, which puts linear layers through their circuit too."""
_BOTH, _CIRCUITS = (_FLAT, _RELEASED), (_FLAT, _RELEASED, _ALL)
_SMALLEST, _SPENT = "[^,]*, smallest", "(FGSM|PGD), linf <= .*"
_LOSS = "accuracy less exact"
_GRADIENTS = ("ste", "matched gradient", "best gradient")
"""Those of a design without a known slope."""
_DECIDING_LOSS = 4.0
"""Width in points of an interval that can confirm a published loss, none of which is larger than 1 point."""


def _control(subject: str) -> dict[str, Any]:
    """The control of a circuit's robustness, and what it is.

    For flat axfpm the power-of-two control computes the same function, which shows that its noise is none. For other
    circuits a control is the exact network with each layer scaled by the circuit's mean gain.
    """
    if subject == _FLAT:
        return {"control": CONTROL, "control_is": "the control, an identity here"}
    return {"control": f"{subject}{MATCHED}", "control_is": "the control, matched in mean gain a layer"}


def _transfer(text: str, section: str, study: str) -> list[Claim]:
    """Returns the claims that attacks seldom transfer, for every circuit and both kinds of attack.

    The published 100 % on the exact network is what a search for the smallest perturbation gives by construction, so
    that the published numbers stand beside those, once. FGSM and PGD with a budget are tested in words: "seldom" is
    under half of the examples.
    """
    return [
        Claim(
            f"{text}, {what}",
            section,
            study,
            subject,
            quantity,
            below(limit),
            f"under {limit:g} % fool it",
            words,
            **_control(subject),
        )
        for subject in _CIRCUITS
        for what, quantity, limit, words in (
            ("smallest perturbations", _SMALLEST, NEARLY_ALL, ""),
            ("FGSM and PGD spending a budget", _SPENT, SELDOM, "seldom"),
        )
    ]


def _accuracy(text: str, section: str, study: str, subjects: tuple[str, ...]) -> list[Claim]:
    """Returns the claims that accuracy is kept: by paired losses, since networks start from different ones."""
    stated = f"loses at most {KEPT:g} point"
    return [
        Claim(text, section, study, subject, _LOSS, above(-KEPT), stated, paired=True, decisive=_DECIDING_LOSS)
        for subject in subjects
    ]


def _over_networks(
    text: str,
    section: str,
    subjects: tuple[str, ...],
    quantity: str,
    rule: tuple[Direction, str, str],
    study: str = "several_networks",
) -> list[Claim]:
    """Returns claims in words over several networks, whose interval contains the variance between them.

    The published numbers themselves are compared elsewhere, once.
    """
    return [
        Claim(f"{text}, over several networks", section, study, subject, quantity, *rule, paired=True)
        for subject in subjects
    ]


CLAIMS: tuple[Claim, ...] = (
    *(
        Claim(f"noise: {what}", "4.1", "figure3", subject, quantity, *rule)
        for subject in _BOTH
        for what, quantity, rule in (
            (
                "discontinuous in the operands",
                "largest jump along the second operand",
                (above(0.01), "over .01", "discontinuous"),
            ),
            ("larger in magnitude than exact", "larger in magnitude", (above(90), "over 90 %")),
            (
                "grows with the numbers",
                r"rank correlation of \|e\| with \|p\|",
                (above(0.5), "correlation over .5", "grows"),
            ),
        )
    ),
    *(
        Claim(
            "filters: the gap to exact rises with similarity",
            "4.2",
            "figure4",
            subject,
            "rank correlation of gap with similarity, .*",
            above(0.5),
            "correlation over .5",
            "rises",
            CONTROL,
        )
        for subject in _BOTH
    ),
    *_transfer("attacks on the exact LeNet-5 seldom transfer to Ax-FPM", "table 2", "table2"),
    *_over_networks(
        "attacks on LeNet-5 seldom transfer, smallest perturbations",
        "tables 2, 10",
        ("heap", *_CIRCUITS),
        "[^,]*, smallest, over .*",
        (below(SELDOM), f"under {SELDOM:g} % fool it", "seldom"),
    ),
    *_over_networks(
        "attacks on LeNet-5 seldom transfer, with a margin (x 1.5) or spending a budget",
        "tables 2, 10",
        ("heap", *_CIRCUITS),
        "[^,]*, (x 1.5|linf <= [^,]*), over .*",
        (below(SELDOM), f"under {SELDOM:g} % fool it", "seldom"),
    ),
    *_transfer("attacks on the exact AlexNet seldom transfer to Ax-FPM", "table 3", "table3"),
    *(
        claim
        for what, quantity in (
            ("smallest perturbations", "[^,]*, smallest, over .*"),
            ("with a margin (x 1.5) or spending a budget", "[^,]*, (x 1.5|linf <= [^,]*), over .*"),
        )
        for claim in _over_networks(
            f"attacks on AlexNet seldom transfer, {what}",
            "table 3",
            _CIRCUITS,
            quantity,
            (below(SELDOM), f"under {SELDOM:g} % fool it", "seldom"),
            "several_alexnets",
        )
    ),
    *(
        Claim(
            "black-box attacks fool Ax-FPM less often than exact, smallest perturbations",
            "table 4",
            "table4",
            subject,
            _SMALLEST,
            below(0),
            "less often than exact",
            reference="exact",
            **_control(subject),
        )
        for subject in _CIRCUITS
    ),
    *_over_networks(
        "black-box attacks fool Ax-FPM less often than exact, smallest perturbations",
        "table 4",
        (_RELEASED,),
        "[^,]*, smallest, less exact, over .*",
        (below(0), "less often than exact", "less often"),
        "networks_black_box",
    ),
    *(
        Claim(
            f"white-box {name} needs more noise on Ax-FPM: {what}",
            "5.3",
            "figures8_11",
            subject,
            quantity,
            *rule,
            gradients=gradients,
            **_control(subject),
        )
        for subject, gradients in (
            (_FLAT, ("axfpm, ste", "axfpm, slope", "axfpm, best gradient")),
            *((name, tuple(f"{name}, {of}" for of in _GRADIENTS)) for name in (_RELEASED, _ALL)),
        )
        for name, key in (("DeepFool", "deepfool"), ("C&W", "cw"))
        for what, quantity, rule in (
            ("L2 less exact", f"{key}: L2 less exact", (above(0), "more noise")),
            ("PSNR less exact (4 dB in the abstract)", f"{key}: PSNR less exact", (below(0), "worse images")),
        )
    ),
    *(
        claim
        for name, key in (("DeepFool", "deepfool"), ("C&W", "cw"))
        for claim in _over_networks(
            f"white-box {name} needs more noise on Ax-FPM: L2 less exact",
            "5.3",
            tuple(f"{name}, best gradient" for name in _CIRCUITS),
            f"{key}: L2 less exact, over .*",
            (above(0), "more noise", "more noise"),
            "networks_white_box",
        )
    ),
    *_over_networks(
        "robust, against an adaptive attacker: robust accuracy less exact",
        "abstract",
        (*_CIRCUITS, _HEAP),
        "robust accuracy, less exact, over .*",
        (above(0), "more than exact", "more robust than exact"),
        "networks_audit",
    ),
    *(
        Claim(
            "robust, against an adaptive attacker",
            "abstract",
            "audit",
            f"{subject}, linf 0.1",
            "robust accuracy",
            lambda row: row.remark == "robust",
            "the audit's verdict is robust",
            "more robust than exact",
        )
        for subject in (_FLAT, _RELEASED, _ALL, _HEAP)
    ),
    *(
        Claim(
            "confidence is enhanced: images above 0.8, less exact",
            "6",
            "figure12",
            subject,
            "confidence above 0.8",
            above(0),
            "more than exact",
            reference="exact",
            **_control(subject),
        )
        for subject in _CIRCUITS
    ),
    *_over_networks(
        "confidence is enhanced: images above 0.8, less exact",
        "6",
        _CIRCUITS,
        "confidence above 0.8, less exact, over .*",
        (above(0), "more than exact", "enhanced"),
    ),
    *(
        Claim(
            "DA is twice as robust as DQ",
            "7.1",
            "table5",
            f"{subject} / {other}",
            f"{_SMALLEST}: failures, ratio",
            *rule,
        )
        for subject in _BOTH
        for other in ("DQ full", "DQ weight-only")
        for rule in ((above(1), "more examples fail on DA"),)
    ),
    *(
        Claim(f"bfloat16: no gain in robustness, {what}", "7.2", "bfloat16_transfer", subject, quantity, *rule)
        for subject in ("LeNet-5, MNIST: bfloat16", "AlexNet, CIFAR-10: bfloat16")
        for what, quantity in (("smallest perturbations", _SMALLEST), ("a budget spent", _SPENT))
        for rule in ((above(NEARLY_ALL), f"over {NEARLY_ALL:g} % transfer", "no gain"),)
    ),
    *(
        Claim(f"bfloat16: noise {what}", "7.2", "figure13", "bfloat16", quantity, *rule)
        for what, quantity, rule in (
            ("mostly negative", "negative", (above(50), "over 50 %", "mostly negative")),
            (
                "orders of magnitude below Ax-FPM's",
                r"mean \|e\| of axfpm / own",
                (above(100), "over 100 times", "orders of magnitude"),
            ),
            (
                "not input-dependent",
                r"rank correlation of \|e\| with \|p\|",
                (below(0.1), "correlation under .1", "not dependent"),
            ),
        )
    ),
    *_accuracy("accuracy of LeNet-5 is kept", "table 8", "table8", (_HEAP, *_CIRCUITS)),
    *_over_networks(
        "accuracy of LeNet-5 is kept",
        "table 8",
        ("heap", *_CIRCUITS),
        f"{_LOSS}, over .*",
        (above(-KEPT), f"loses at most {KEPT:g} point", "kept"),
    ),
    *_over_networks(
        "accuracy of AlexNet is kept",
        "table 6",
        _CIRCUITS,
        f"{_LOSS}, over .*",
        (above(-KEPT), f"loses at most {KEPT:g} point", "kept"),
        "several_alexnets",
    ),
    *_accuracy(
        "accuracy of AlexNet is kept",
        "table 6",
        "table6",
        tuple(f"alexnet {name}" for name in (*_CIRCUITS, "bfloat16")),
    ),
    *(
        Claim(f"error: {what}", "table 8", "table8", subject, re.escape(what), below(0.5), stated, given=given)
        for subject, stated, given in (
            (_HEAP, "fitted, no evidence", "fitted"),
            *((name, "under .5", "") for name in _BOTH),
        )
        for what in ("MRED (ratio of means)", "NMED")
    ),
    Claim(
        "noise of HEAP: larger than exact",
        "app. A",
        "figure15",
        _HEAP,
        "larger in magnitude",
        below(50),
        "fitted, no evidence",
        given="fitted",
    ),
    *(
        Claim(
            f"{what} of the {block}, over exact",
            number,
            study,
            subject,
            f"{what} / exact, as drawn.*",
            below(1),
            "saves",
        )
        for block, number, study, subjects in (
            ("whole multiplier", "table 7", "table7", (*_BOTH, "bfloat16")),
            ("mantissa array", "table 9", "table9", (*_BOTH, _HEAP)),
        )
        for subject in subjects
        for what in ("energy", "delay")
    ),
    *(
        Claim(
            "heat maps: important features are highlighted",
            "app. A",
            "figure16",
            subject,
            "mean of the exact network's top 10 % / exact",
            above(1),
            "over 1, as from any gain over 1",
            "highlights",
            given="follows from the mean gain",
            **_control(subject),
        )
        for subject in _BOTH
    ),
)
"""The claims in the order of the paper's sections, which is also their order in the report."""


def tested(results: Mapping[str, StudyResult]) -> list[tuple[Claim, list[Row]]]:
    """Returns each claim whose study has a result, with the rows that test it.

    There are no rows where the result was measured before its study had them; `Claim.verdict` then says so.
    """
    return [(claim, claim.rows(results[claim.study])) for claim in CLAIMS if claim.study in results]
