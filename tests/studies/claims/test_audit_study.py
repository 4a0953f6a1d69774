"""The study of audits: its rows are the numbers of the report."""

from __future__ import annotations

import pytest
from robust_networks import network

from cnn_eval import AuditSettings, run_audit
from cnn_eval.data.loading import load
from studies.own import audit

COUNT = 60
QUICK = AuditSettings(steps=20, apgd_steps=20, queries=300, minimum_steps=100, noise_draws=3, decision_images=0)


@pytest.mark.slow
def test_study_rows_come_from_the_report() -> None:
    normal, images = network("normal"), load()
    report = run_audit(normal, normal, images.images[:COUNT], images.labels[:COUNT], settings=QUICK, name="itself")
    rows = {row.quantity: row for row in audit._rows(report)}
    assert rows["robust accuracy"].measured == pytest.approx(100 * report.robust / COUNT)
    assert rows["robust accuracy"].remark == report.verdict
    assert rows["fooled, own gradient (native)"].measured == pytest.approx(100 * report.native / report.eligible)
    assert rows["median L2, DDN, less exact"].measured == pytest.approx(0, abs=1e-3)
    low, high = rows["fooled, Square"].interval or (0, 0)
    assert low < rows["fooled, Square"].measured < high
    assert rows["transfer of DDN, kappa 5, with a margin"].measured == 100
    assert rows["checks beyond threshold"].measured == sum(check.passed is False for check in report.checks)
