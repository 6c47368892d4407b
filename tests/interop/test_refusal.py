import logging
from dataclasses import replace

import pytest

from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from interop.refusal import uninterpretable
from tests.interop.test_metrics import ANALYSIS

FINDINGS = (
    QualityFinding(QualityCode.NOISE, Severity.WARNING, ("V1",), "Lead V1 is noisy."),
    QualityFinding(QualityCode.NO_ECG, Severity.REFUSED, (), "There is no ECG in the signal."),
    QualityFinding(QualityCode.TOO_SHORT, Severity.REFUSED, (), "It is too short."),
)


def test_every_reason_is_told_and_mere_warnings_are_not(caplog: pytest.LogCaptureFixture) -> None:
    analysis = replace(ANALYSIS, prediction=None, recommendations=(), quality=QualityReport(FINDINGS))
    with caplog.at_level(logging.INFO):
        error = uninterpretable(analysis, "ecg_signal")
    assert (error.message, error.element) == ("There is no ECG in the signal. It is too short.", "ecg_signal")
    (record,) = caplog.records
    assert vars(record)["findings"] == ["no-ecg", "too-short"]
