from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest

from inference.recording import LEADS, Recording, Sex
from training.shifts import HUM, MAINS, SHIFTS, Shift

RATE = 500.0


def recording(sampling_rate: float = RATE, age: float | None = 60.0) -> Recording:
    """Limb leads that belong together, and six of the chest."""
    random = np.random.default_rng(0)
    first, second = random.normal(size=(2, 2500)) * 0.3
    limb = [first, second, second - first, -(first + second) / 2, first - second / 2, second - first / 2]
    signal = np.array([*limb, *random.normal(size=(6, 2500))], np.float32)
    at = datetime(2026, 3, 2, tzinfo=UTC)
    return Recording(signal=signal, sampling_rate=sampling_rate, recorded_at=at, age=age, sex=Sex.MALE)


def lead(found: Recording, name: str) -> np.ndarray:
    row: np.ndarray = found.signal[LEADS.index(name)]
    return row


def einthoven(found: Recording) -> bool:
    """Also Goldberger's."""
    one, two = lead(found, "I"), lead(found, "II")
    derived = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    return all(np.allclose(lead(found, name), values, atol=1e-5) for name, values in derived.items())


@pytest.mark.parametrize("change", [SHIFTS[name].change for name in ("gain", "hum", "limb-leads")])
def test_limb_leads_still_belong_together(change: Callable[[Recording], Recording]) -> None:
    before = recording()
    assert einthoven(before)
    assert einthoven(change(before))


def test_gain_doubles() -> None:
    before = recording()
    np.testing.assert_array_equal(SHIFTS["gain"].change(before).signal, 2 * before.signal)


def test_exchanged_arms_turn_lead_i_over() -> None:
    before = recording()
    after = SHIFTS["limb-leads"].change(before)
    np.testing.assert_array_equal(lead(after, "I"), -lead(before, "I"))
    np.testing.assert_array_equal(lead(after, "II"), lead(before, "III"))
    np.testing.assert_array_equal(lead(after, "aVR"), lead(before, "aVL"))
    np.testing.assert_array_equal(lead(after, "V3"), lead(before, "V3"))


def test_hum_is_of_the_mains_and_small() -> None:
    before = recording()
    added = SHIFTS["hum"].change(before).signal - before.signal
    spectrum = np.abs(np.fft.rfft(added, axis=1))
    assert set(np.fft.rfftfreq(added.shape[1], 1 / RATE)[spectrum.argmax(axis=1)]) == {MAINS}
    assert 0 < np.abs(added).max() <= 2 * HUM


def test_another_device_filters_and_rounds() -> None:
    before = recording()
    after = SHIFTS["device"].change(before)
    assert np.allclose(after.signal / 0.01, np.round(after.signal / 0.01), atol=1e-3)
    assert after.signal.std() < 0.6 * before.signal.std()  # white noise has lost what lies above 40 Hz
    assert SHIFTS["device"].sender


@pytest.mark.parametrize(
    ("name", "given", "takes"),
    [
        ("older", {"age": 69.0}, False),
        ("older", {"age": 70.0}, True),
        ("older", {"age": None}, False),
        ("hum", {"sampling_rate": 100.0}, False),
        ("hum", {"sampling_rate": 500.0}, True),
        ("gain", {"sampling_rate": 100.0}, True),
    ],
)
def test_shifts_take_what_they_fit(name: str, given: dict[str, float | None], takes: bool) -> None:
    assert SHIFTS[name].takes(recording(**given)) is takes  # type: ignore[arg-type]


def test_nothing_is_changed_by_default() -> None:
    before = recording()
    shift = Shift(name="x", text="x")
    assert shift.change(before) is before
    assert shift.takes(before)
