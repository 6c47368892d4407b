"""What was calculated of a recording <-> a row of the store. Exact: every number comes back with the same bits."""

import zlib

import numpy as np
from numpy.typing import NDArray

from actions.computed import Computed
from audit.records import FeatureRow
from inference.features import FEATURE_NAMES
from inference.labels import Superclass
from inference.measurements import Measurements

MEASUREMENTS = ("heart_rate", "pr", "qrs", "qt", "qtc", "axis")  # in this order; a change needs another row format

_FLOAT64 = np.dtype("<f8")
_FLOAT32 = np.dtype("<f4")


class CorruptRow(ValueError):
    """A row that is not what was stored under its key."""


def to_row(computed: Computed) -> FeatureRow:
    """The row to be stored."""
    measured = [getattr(computed.measurements, name) for name in MEASUREMENTS]
    contents = (
        np.array([np.nan if value is None else value for value in measured], _FLOAT64).tobytes(),
        np.array([computed.prediction.probabilities[c] for c in Superclass], _FLOAT64).tobytes(),
        to_bytes(computed.features),
    )
    return FeatureRow(computed.key, _checksum(computed.key, contents), *contents)


def to_bytes(features: NDArray[np.float32]) -> bytes:
    """Features as monitoring reads them: little-endian float32."""
    return features.astype(_FLOAT32, copy=False).tobytes()


def to_values(row: FeatureRow) -> tuple[NDArray[np.float32], Measurements, dict[Superclass, float]]:
    """Features, measurements and probabilities of a row. Raises CorruptRow."""
    contents = (row.measurements, row.probabilities, row.features)
    lengths = (8 * len(MEASUREMENTS), 8 * len(Superclass), 4 * len(FEATURE_NAMES))
    if _checksum(row.key, contents) != row.checksum or tuple(map(len, contents)) != lengths:
        raise CorruptRow("checksum or length is wrong")
    measured = np.frombuffer(row.measurements, _FLOAT64).tolist()
    probabilities = np.frombuffer(row.probabilities, _FLOAT64).tolist()
    return (
        np.frombuffer(row.features, _FLOAT32).astype(np.float32, copy=False),
        Measurements(**{n: None if np.isnan(v) else v for n, v in zip(MEASUREMENTS, measured, strict=True)}),
        dict(zip(Superclass, probabilities, strict=True)),
    )


def _checksum(key: bytes, contents: tuple[bytes, ...]) -> int:
    checksum = zlib.crc32(key)
    for content in contents:
        checksum = zlib.crc32(content, checksum)
    return checksum
