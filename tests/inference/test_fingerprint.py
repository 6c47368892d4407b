from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from inference.digest import signal_digest
from inference.features import FEATURE_NAMES
from inference.fingerprint import computation_key, shape_hash
from inference.recording import Recording, Sex

SIGNAL = np.random.default_rng(0).normal(size=(12, 500)).astype(np.float32)
RECORDING = Recording(signal=SIGNAL, sampling_rate=500.0, age=61.5, sex=Sex.FEMALE)
MODEL, SOFTWARE = "a" * 64, "1.0.0"

AGES = st.none() | st.floats(0, 130)
RATES = st.floats(50, 40_000)


def key(recording: Recording, model: str = MODEL, software: str = SOFTWARE) -> bytes:
    return computation_key(signal_digest(recording), recording.age, recording.sex, model=model, software=software)


@given(age=AGES, sex=st.sampled_from(Sex), rate=RATES)
def test_another_age_sex_or_sampling_rate_has_another_key(age: float | None, sex: Sex, rate: float) -> None:
    other = replace(RECORDING, age=age, sex=sex, sampling_rate=rate)
    same = (age, sex, rate) == (RECORDING.age, RECORDING.sex, RECORDING.sampling_rate)
    assert (key(other) == key(RECORDING)) is same


@given(lead=st.integers(0, 11), sample=st.integers(0, 499), value=st.floats(-10, 10, width=32) | st.just(float("nan")))
def test_another_value_of_one_sample_has_another_key(lead: int, sample: int, value: float) -> None:
    signal = SIGNAL.copy()
    signal[lead, sample] = value
    assert (key(replace(RECORDING, signal=signal)) == key(RECORDING)) is bool(
        signal[lead, sample] == SIGNAL[lead, sample]
    )


@given(model=st.text("0123456789abcdef", min_size=64, max_size=64), software=st.text("0123456789.", min_size=1))
def test_another_model_or_version_of_the_software_has_another_key(model: str, software: str) -> None:
    assert (key(RECORDING, model, software) == key(RECORDING)) is ((model, software) == (MODEL, SOFTWARE))


def test_samples_in_other_places_or_another_number_of_them_have_another_key() -> None:
    for signal in (SIGNAL[:, ::-1].copy(), SIGNAL[::-1].copy(), SIGNAL[:, :-1].copy()):
        assert key(replace(RECORDING, signal=signal)) != key(RECORDING)


def test_what_the_calculation_does_not_depend_on_does_not_change_the_key() -> None:
    assert key(replace(RECORDING, notes=("undated",), paced=False)) == key(RECORDING)
    assert key(replace(RECORDING, age=61)) == key(replace(RECORDING, age=61.0))
    assert len(key(RECORDING)) == 32


def test_the_shape_hash_is_one_for_the_process_and_not_of_the_names_alone() -> None:
    assert shape_hash() == shape_hash()
    assert len(shape_hash()) == 64
    assert len(set(FEATURE_NAMES)) == len(FEATURE_NAMES)
