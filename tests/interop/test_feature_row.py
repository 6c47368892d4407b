from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.computed import Computed
from audit.records import FeatureRow
from inference.features import FEATURE_NAMES
from inference.labels import Superclass
from inference.measurements import Measurements
from inference.prediction import Prediction
from interop.feature_row import MEASUREMENTS, CorruptRow, to_row, to_values
from tests.fakes import CHAMPION, THRESHOLDS, make_prediction

NAN_WITH_A_PAYLOAD = np.array([0x7FC00001], "<u4").view("<f4")[0]


def computed(**changes: Any) -> Computed:
    features = np.linspace(-1, 1, len(FEATURE_NAMES)).astype(np.float32)
    features[::7] = np.nan
    features[1] = NAN_WITH_A_PAYLOAD
    found = Computed("d", bytes(range(32)), features, Measurements(heart_rate=61.0, qt=0.1 + 0.2), make_prediction())
    return replace(found, **changes)


@given(
    values=st.lists(st.none() | st.floats(-1e6, 1e6), min_size=6, max_size=6),
    probabilities=st.lists(st.floats(0, 1), min_size=5, max_size=5),
)
def test_every_number_comes_back_with_the_same_bits(values: list[float | None], probabilities: list[float]) -> None:
    given_ = dict(zip(Superclass, probabilities, strict=True))
    before = computed(measurements=Measurements(*values), prediction=Prediction(given_, THRESHOLDS, CHAMPION))
    features, measurements, found = to_values(to_row(before))
    assert features.tobytes() == before.features.tobytes()
    assert features.dtype == np.float32
    assert repr(measurements) == repr(before.measurements)
    assert repr(found) == repr(given_)


def test_every_measurement_is_in_the_row() -> None:
    assert tuple(field.name for field in fields(Measurements)) == MEASUREMENTS


@pytest.mark.parametrize("name", [field.name for field in fields(FeatureRow)])
def test_a_row_with_any_other_bit_is_corrupt(name: str) -> None:
    row = to_row(computed())
    value = getattr(row, name)
    other: Any = value ^ 1 if isinstance(value, int) else bytes([value[0] ^ 1]) + value[1:]
    with pytest.raises(CorruptRow):
        to_values(replace(row, **{name: other}))


def test_a_row_of_another_length_is_corrupt_even_where_its_checksum_is_right() -> None:
    row = to_row(computed(features=np.zeros(len(FEATURE_NAMES) - 1, np.float32)))
    with pytest.raises(CorruptRow):
        to_values(row)
