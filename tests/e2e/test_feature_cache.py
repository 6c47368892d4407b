"""What was calculated of a recording is calculated once, whatever doors, processes and restarts come between."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from actions.serialize import from_json
from audit.records import FeatureRow
from inference.digest import signal_digest
from inference.fingerprint import computation_key
from inference.recording import Recording
from interop.feature_row import to_values
from interop.resources.devices import software_version
from tests.audit.conftest import run_statements
from tests.conftest import ROOT
from tests.e2e.conftest import Service, migrated, running
from tests.e2e.doors import counted, ecg, eventually, matrix, message, observation, post_matrix, post_observation, send
from training.datasets.entry import Entry, Split
from training.datasets.wfdb_file import wfdb_file
from training.feature_store import FeatureStore

# By itself each start takes the faster weights, and what other weights calculated is never used.
pytestmark = pytest.mark.slow

ONE_MODEL = {"precision": "fp32"}
CALCULATED = ("features", "prepare", "classify")


def by_fhir(service: Service, recording: Recording) -> None:
    assert post_observation(service, observation(recording)).status_code == 201


def by_mllp(service: Service, recording: Recording) -> None:
    (answer,) = send(service.mllp, message(recording))
    assert b"MSA|AA|" in answer


def by_predict(service: Service, recording: Recording) -> dict[str, Any]:
    answer = post_matrix(service, matrix(recording))
    assert answer.status_code == 200
    found: dict[str, Any] = orjson.loads(answer.content)
    return found


def outcomes(service: Service) -> Mapping[str, float]:
    names = ("hit_memory", "hit_table", "miss", "corrupt", "unavailable")
    found = {name: counted(service, "ecg_feature_cache_total", outcome=name) for name in names}
    found["miss"] -= 1  # the service's own warm-up
    return {name: value for name, value in found.items() if value}


def calculations(service: Service) -> set[float]:
    return {counted(service, "ecg_stage_seconds", stage=stage) for stage in CALCULATED}


def stored_row(service: Service, recording: Recording) -> FeatureRow | None:
    """The row of a recording, by a key that is made here."""
    sha256 = httpx.get(f"{service.url}/metrics").text.split('sha256="')[1].split('"')[0]
    key = computation_key(
        signal_digest(recording), recording.age, recording.sex, model=sha256, software=software_version()
    )
    with service.store() as store:
        return store.known_features(key)


def offline_features(folder: Path, recording: Recording) -> NDArray[np.float32]:
    """From the offline store, for the shipped file with the age and sex of a recording."""
    entry = Entry(
        dataset="cohort",
        recording_id="184",
        patient_id="1",
        split=Split.TRAIN,
        labels={},
        source=wfdb_file(ROOT / "examples" / "00184_hr.hea"),
        age=recording.age,
        sex=recording.sex,
    )
    store = FeatureStore(folder)
    store.update([entry])
    (row,) = store.read("cohort").features
    return np.asarray(row)


def served_precision(service: Service) -> str:
    """Which weights a service has taken."""
    loaded = next(line for line in map(orjson.loads, service.log.splitlines()) if line["message"] == "model loaded")
    return str(loaded["precision"])


def essence(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What does not differ between two analyses of the same recording."""
    return {name: value for name, value in answer.items() if name not in ("prediction_id", "latency_ms")}


def test_doors_with_the_same_recording_calculate_once_and_each_gets_its_own_analysis(
    own_database: str, tmp_path: Path
) -> None:
    recording = ecg()
    with running(tmp_path, database_url=own_database, **ONE_MODEL) as service:
        by_fhir(service, recording)
        by_mllp(service, recording)
        by_predict(service, recording)
        assert outcomes(service) == {"miss": 1, "hit_memory": 2}
        assert calculations(service) == {1}
        with service.store() as store, store.reader() as reader:
            rows = reader.inbox.list(10)
            found = [reader.analyses.get(row.analysis_id) for row in rows if row.analysis_id]
            report = store.verify()
        assert [row.door for row in found] == ["predict", "mllp", "fhir"]
        assert len({row.id for row in found}) == 3
        first, *others = (from_json(row.detail) for row in found)
        assert all(a.measurements == first.measurements and a.prediction == first.prediction for a in others)
        assert report.problems == ()
        by_predict(service, ecg(age=30.0))
        assert calculations(service) == {2}
        service.stop()
    with running(tmp_path, database_url=own_database, **ONE_MODEL) as again:
        by_mllp(again, recording)
        assert outcomes(again) == {"hit_table": 1}
        assert calculations(again) == {0}


def test_results_are_those_of_a_service_without_a_cache(service: Service, tmp_path: Path) -> None:
    recording, precision = ecg(age=51.0), served_precision(service)
    with running(tmp_path, feature_cache_memory="0", feature_cache_rows="0", precision=precision) as without:
        expected = essence(by_predict(without, recording))
        assert essence(by_predict(without, recording)) == expected
        assert calculations(without) == {2}
        assert counted(without, "ecg_feature_cache_total") == 0
        assert stored_row(without, recording) is None
    before = counted(service, "ecg_feature_cache_total", outcome="hit_memory")
    assert [essence(by_predict(service, recording)) for _ in range(2)] == [expected, expected]
    assert counted(service, "ecg_feature_cache_total", outcome="hit_memory") == before + 1


def test_two_processes_on_one_database_calculate_once(postgresql: str, tmp_path: Path) -> None:
    recording, url = ecg(), migrated(postgresql, tmp_path)
    (tmp_path / "second").mkdir()
    with (
        running(tmp_path, database_url=url, **ONE_MODEL) as first,
        running(tmp_path / "second", database_url=url, **ONE_MODEL) as second,
    ):
        by_fhir(first, recording)
        by_fhir(second, recording)
        assert outcomes(second) == {"hit_table": 1}
        assert calculations(second) == {0}


def test_a_corrupt_row_is_counted_and_changes_no_result(own_database: str, tmp_path: Path) -> None:
    recording = ecg()
    with running(tmp_path, database_url=own_database, **ONE_MODEL) as service:
        expected = essence(by_predict(service, recording))
        service.stop()
    run_statements(own_database, "UPDATE feature_cache SET probabilities = measurements")
    with running(tmp_path, database_url=own_database, **ONE_MODEL) as service:
        assert essence(by_predict(service, recording)) == expected
        assert outcomes(service) == {"corrupt": 1}
        assert "a row of the feature cache is ignored" in service.log


@pytest.mark.parametrize("send_by", [by_fhir, by_mllp])
def test_offline_and_online_features_are_the_same_bits(own_database: str, tmp_path: Path, send_by: Any) -> None:
    recording = ecg()
    with running(tmp_path, database_url=own_database, **ONE_MODEL) as service:
        send_by(service, recording)
        row = stored_row(service, recording)
    assert row is not None
    assert row.features == offline_features(tmp_path / "features", recording).tobytes()


@pytest.mark.parametrize("send_by", [by_fhir, by_mllp, by_predict])
def test_the_row_holds_what_the_analysis_says(service: Service, send_by: Any) -> None:
    recording = ecg(age=40.0 + [by_fhir, by_mllp, by_predict].index(send_by))
    send_by(service, recording)
    row = stored_row(service, recording)
    assert row is not None
    features, measurements, probabilities = to_values(row)
    with service.store() as store, store.reader() as reader:
        (newest,) = reader.inbox.list(1)
        assert newest.analysis_id is not None
        analysis = from_json(reader.analyses.get(newest.analysis_id).detail)
    assert analysis.prediction is not None
    assert measurements == analysis.measurements
    assert probabilities == analysis.prediction.probabilities
    assert features[-3] == np.float32(recording.age)


def test_only_the_newest_rows_stay(tmp_path: Path) -> None:
    recordings = [ecg(age=float(age)) for age in (50, 51, 52)]
    with running(tmp_path, feature_cache_rows="1", **ONE_MODEL) as service:
        for recording in recordings:
            by_predict(service, recording)
        rows = [stored_row(service, recording) for recording in recordings]
        assert eventually(lambda: stored_row(service, recordings[1]) is None)
        assert None not in rows
        assert stored_row(service, recordings[0]) is None
        assert stored_row(service, recordings[2]) == rows[2]
        service.stop()
    with running(tmp_path, feature_cache_rows="0", **ONE_MODEL) as service:
        assert eventually(lambda: stored_row(service, recordings[2]) is None)
        by_predict(service, recordings[2])
        by_predict(service, recordings[2])
        assert outcomes(service) == {"miss": 1, "hit_memory": 1}
        assert stored_row(service, recordings[2]) is None
