from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from inference.formats import read
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity, assess
from inference.recording import INDEPENDENT_LEADS, LEADS, Recording, assemble

Signal = NDArray[np.float32]
RATE = 500
V1, V2, V3 = (LEADS.index(lead) for lead in ("V1", "V2", "V3"))


@pytest.fixture(scope="module")
def signal(examples: Path) -> Signal:
    return read(examples / "00010_hr.hea").signal


def _refusals(signal: Signal, rate: float = RATE) -> set[QualityCode]:
    report = assess(Recording(signal, rate))
    refused = {f.code for f in report.findings if f.severity is Severity.REFUSED}
    assert report.usable is not bool(refused)
    return refused


def _warning(signal: Signal, code: QualityCode) -> QualityFinding:
    report = assess(Recording(signal, RATE))
    assert report.usable
    (finding,) = (f for f in report.findings if f.code is code)
    assert finding.severity is Severity.WARNING
    return finding


def _changed(signal: Signal, change: Callable[[Signal], object]) -> Signal:
    copy = signal.copy()
    change(copy)
    return copy


@pytest.mark.parametrize("name", ["00010_hr.hea", "00184_hr.hea"])
def test_the_shipped_recordings_are_clean(examples: Path, name: str) -> None:
    assert assess(read(examples / name)) == QualityReport()


def test_a_report_knows_what_it_has() -> None:
    report = QualityReport((QualityFinding(QualityCode.NOISE, Severity.WARNING, ("V1",), "noisy"),))
    assert report.usable
    assert not report.clean
    assert report.has(QualityCode.NOISE)
    assert not report.has(QualityCode.SATURATION)


def test_less_than_two_and_a_half_seconds_are_refused(signal: Signal) -> None:
    assert _refusals(signal[:, :1240].copy()) == {QualityCode.TOO_SHORT}
    assert _refusals(signal[:, :1250].copy()) == set()


def test_all_zero_is_refused() -> None:
    assert _refusals(np.zeros((12, 5000), np.float32)) == {QualityCode.FLAT_LEAD}


def test_a_constant_offset_alone_is_refused() -> None:
    assert _refusals(np.full((12, 5000), 1.5, np.float32)) == {QualityCode.FLAT_LEAD}


def test_all_invalid_is_refused() -> None:
    assert _refusals(np.full((12, 5000), np.nan, np.float32))


@pytest.mark.parametrize("seconds", [2.5, 5, 10])
@pytest.mark.parametrize("exponent", [0, 0.5, 1], ids=["white", "pink", "brown"])
@pytest.mark.parametrize("rate", [100, 500, 1000])
def test_noise_is_refused_even_when_its_limb_leads_agree(seconds: float, exponent: float, rate: int) -> None:
    rng = np.random.default_rng(7)
    samples = round(seconds * rate)
    colour = np.maximum(np.fft.rfftfreq(samples), 1 / samples) ** -exponent
    for _ in range(5):
        noise = np.fft.irfft(np.fft.rfft(rng.normal(size=(8, samples))) * colour, samples)
        noise *= 0.4 / noise.std()
        made, _notes = assemble(dict(zip(INDEPENDENT_LEADS, noise, strict=True)))
        assert _refusals(made, rate) == {QualityCode.NO_ECG}


@pytest.mark.parametrize("frequency", [1, 5, 50])
def test_a_sine_wave_is_refused(frequency: float) -> None:
    wave = np.sin(2 * np.pi * frequency * np.arange(5000) / RATE).astype(np.float32)
    assert _refusals(np.outer(np.linspace(0.5, 1.5, 12), wave).astype(np.float32)) == {QualityCode.NO_ECG}


def test_a_single_spike_is_no_heart_beat() -> None:
    rng = np.random.default_rng(1)
    spike = rng.normal(0, 0.02, (12, 5000)).astype(np.float32)
    spike[:, 2500:2510] += 3
    assert _refusals(spike) == {QualityCode.NO_ECG}


@pytest.mark.parametrize("factor", [1000, 200])
def test_microvolts_or_counts_sent_as_millivolts_are_refused_with_the_cause(signal: Signal, factor: float) -> None:
    (finding,) = assess(Recording((signal * factor).astype(np.float32), RATE)).findings
    assert (finding.code, finding.severity) == (QualityCode.AMPLITUDE, Severity.REFUSED)
    assert "sent as millivolts" in finding.text


def test_volts_sent_as_millivolts_are_refused_with_the_cause(signal: Signal) -> None:
    (finding,) = assess(Recording(signal / np.float32(1000), RATE)).findings
    assert (finding.code, finding.severity) == (QualityCode.AMPLITUDE, Severity.REFUSED)
    assert "volts" in finding.text


def test_a_large_offset_is_no_unit_mistake(signal: Signal) -> None:
    assert assess(Recording(signal + np.float32(500), RATE)).clean


def test_one_flat_lead_is_a_warning_that_names_it(signal: Signal) -> None:
    finding = _warning(_changed(signal, lambda s: s[V2].fill(0)), QualityCode.FLAT_LEAD)
    assert finding.leads == ("V2",)
    assert "V2" in finding.text


def test_three_flat_leads_are_refused(signal: Signal) -> None:
    assert not _refusals(_changed(signal, lambda s: s.__setitem__([V1, V2], 0)))
    assert _refusals(_changed(signal, lambda s: s.__setitem__([V1, V2, V3], 0))) == {QualityCode.FLAT_LEAD}


def test_different_losses_add_up(signal: Signal) -> None:
    torn = _changed(signal, lambda s: s.__setitem__(V1, 0))
    torn[V2] = np.nan
    torn[V3] = np.random.default_rng(0).normal(0, 30, 5000)
    assert _refusals(torn) == {QualityCode.FLAT_LEAD, QualityCode.INVALID_SAMPLES, QualityCode.AMPLITUDE}


def test_a_lead_that_was_off_for_a_while_is_a_warning(signal: Signal) -> None:
    finding = _warning(_changed(signal, lambda s: s[V2, 1000:3000].fill(0.2)), QualityCode.FLAT_LEAD)
    assert finding.leads == ("V2",)
    assert "part" in finding.text


def test_a_short_gap_is_a_warning_and_a_long_one_loses_the_lead(signal: Signal) -> None:
    short = _warning(_changed(signal, lambda s: s[V1, 100:150].fill(np.nan)), QualityCode.INVALID_SAMPLES)
    long = _warning(_changed(signal, lambda s: s[V1, 100:1500].fill(np.nan)), QualityCode.INVALID_SAMPLES)
    assert short.leads == long.leads == ("V1",)
    assert short.text != long.text


def test_a_recording_full_of_gaps_is_refused(signal: Signal) -> None:
    assert _refusals(_changed(signal, lambda s: s[:, 1000:2500].fill(np.nan))) == {QualityCode.INVALID_SAMPLES}


def test_clipped_leads_are_named(signal: Signal) -> None:
    limit = 0.4 * float(np.abs(signal[V3]).max())
    finding = _warning(_changed(signal, lambda s: np.clip(s[V3], -limit, limit, out=s[V3])), QualityCode.SATURATION)
    assert finding.leads == ("V3",)


def test_leads_that_lie_at_the_rail_are_refused(signal: Signal) -> None:
    railed = np.clip(signal + np.float32(0.2), -5, np.quantile(signal + 0.2, 0.4, axis=1, keepdims=True))
    assert QualityCode.SATURATION in _refusals(railed.astype(np.float32))


@pytest.mark.parametrize("hum", [50, 60])
def test_strong_mains_hum_is_a_warning(signal: Signal, hum: float) -> None:
    wave = 0.3 * np.sin(2 * np.pi * hum * np.arange(5000) / RATE)
    finding = _warning(_changed(signal, lambda s: s[V1].__iadd__(wave)), QualityCode.NOISE)
    assert finding.leads == ("V1",)


def test_strong_muscle_noise_is_a_warning(signal: Signal) -> None:
    noise = np.random.default_rng(0).normal(0, 0.15, 5000)
    assert _warning(_changed(signal, lambda s: s[V3].__iadd__(noise)), QualityCode.NOISE).leads == ("V3",)


def test_a_wandering_baseline_is_a_warning(signal: Signal) -> None:
    wander = 2 * np.sin(2 * np.pi * 0.15 * np.arange(5000) / RATE)
    finding = _warning(_changed(signal, lambda s: s[V2].__iadd__(wander)), QualityCode.BASELINE_WANDER)
    assert finding.leads == ("V2",)


def test_a_limb_lead_under_a_wrong_name_breaks_einthoven(signal: Signal) -> None:
    finding = _warning(_changed(signal, lambda s: s.__setitem__(2, -s[2])), QualityCode.EINTHOVEN)
    assert finding.leads == ("III",)


def test_exchanged_arm_electrodes_are_suspected(signal: Signal) -> None:
    exchanged = signal[[0, 2, 1, 4, 3, 5, *range(6, 12)]].copy()
    exchanged[0] *= -1
    finding = _warning(exchanged, QualityCode.LEAD_REVERSAL)
    assert "I" in finding.leads


def test_findings_do_not_depend_on_the_sampling_rate(signal: Signal) -> None:
    flat = _changed(signal, lambda s: s.__setitem__(V2, 0))
    for step in (1, 2, 4):
        report = assess(Recording(flat[:, ::step].copy(), RATE / step))
        assert [(f.code, f.leads) for f in report.findings] == [(QualityCode.FLAT_LEAD, ("V2",))]


@settings(max_examples=50, deadline=None)
@given(
    rate=st.floats(50, 2000),
    seconds=st.floats(0.1, 12),
    scale=st.sampled_from([0.0, 1e-9, 1.0, 1e9]),
    torn=st.integers(0, 200),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_numbers_of_any_kind_are_refused_without_an_error(
    rate: float, seconds: float, scale: float, torn: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    signal = (rng.normal(size=(12, max(1, round(seconds * rate)))) * scale).astype(np.float32)
    signal.reshape(-1)[rng.integers(0, signal.size, torn)] = np.inf
    assert not assess(Recording(signal, rate)).usable


def test_fewer_than_one_in_a_hundred_real_recordings_is_refused_and_most_are_clean(shared_data: Path) -> None:
    paths = sorted((shared_data / "ptbxl/records100").glob("*/*.hea"))[::8]
    paths += sorted((shared_data / "ptbxl/records500").glob("*/*.hea"))[::8]
    reports = [assess(read(path)) for path in paths]
    refused = [path.stem for path, report in zip(paths, reports, strict=True) if not report.usable]
    assert len(refused) < 0.01 * len(paths), refused
    assert sum(report.clean for report in reports) > 0.88 * len(paths)
    for code in (QualityCode.LEAD_REVERSAL, QualityCode.EINTHOVEN, QualityCode.SATURATION, QualityCode.FLAT_LEAD):
        assert sum(report.has(code) for report in reports) < 0.02 * len(paths), code


def test_the_two_chapman_recordings_without_half_of_their_chest_leads_are_refused(shared_data: Path) -> None:
    paths = sorted((shared_data / "chapman/WFDBRecords").rglob("*.hea"))
    refused = {path.stem: assess(read(path)).findings[0].leads for path in paths if not assess(read(path)).usable}
    assert refused == {"JS20004": ("V2", "V4", "V6"), "JS20008": ("V2", "V4", "V6")}
