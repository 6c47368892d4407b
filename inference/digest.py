"""The identity of a signal."""

import hashlib

import numpy as np

from inference.recording import Recording


def signal_digest(recording: Recording) -> str:
    """SHA-256 (hex) of sampling rate and samples: the same for the same ECG, however it was written. NaN and zero each
    have one form."""
    canonical = recording.signal + np.float32(0)
    canonical[np.isnan(canonical)] = np.nan
    digest = hashlib.sha256(np.array([recording.sampling_rate], "<f8").tobytes())
    digest.update(np.ascontiguousarray(canonical, "<f4").data)
    return digest.hexdigest()
