import numpy as np

from inference.digest import signal_digest
from inference.recording import Recording
from tests.interop.resources.cases import make_recording


def test_the_digest_sees_the_signal_and_the_rate_and_nothing_else() -> None:
    recording = make_recording()
    other = recording.signal.copy()
    other[0, 0] += 0.001
    assert signal_digest(recording) == signal_digest(make_recording(age=3.0, recorded_at=None))
    assert signal_digest(recording) != signal_digest(make_recording(sampling_rate=250.0))
    assert signal_digest(recording) != signal_digest(Recording(other, 500.0))


def test_the_digest_knows_one_zero_and_one_nan() -> None:
    plus, minus = np.zeros((12, 2), np.float32), np.full((12, 2), -0.0, np.float32)
    plus[0, 0] = np.nan
    minus[0, 0] = -np.float32(np.nan)
    assert signal_digest(Recording(plus, 500.0)) == signal_digest(Recording(minus, 500.0))
