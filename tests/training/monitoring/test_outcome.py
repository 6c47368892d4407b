import pytest

from training.monitoring.outcome import Finding, Outcome


def _outcome(*flags: bool | None) -> Outcome:
    findings = (Finding(key=f"k:{i}", flag=f, severity="info", title="", text="") for i, f in enumerate(flags))
    return Outcome(content={}, findings=tuple(findings))


@pytest.mark.parametrize(
    ("flags", "expected"), [((), False), ((None, False), False), ((None, True), True), ((False, True), True)]
)
def test_somebody_has_to_look_where_one_finding_says_so(flags: tuple[bool | None, ...], expected: bool) -> None:
    assert _outcome(*flags).flag is expected
