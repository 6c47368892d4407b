from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actions.analysis import Analysis, Door, Mode, PolicyInfo, Recommendation, Urgency
from actions.serialize import FORMAT, PLAIN_FIELDS, from_json, to_json
from inference.labels import Coding, Superclass
from inference.measurements import Measurements
from inference.prediction import ModelInfo, ModelStatus, Prediction
from inference.quality import QualityCode, QualityFinding, QualityReport, Severity
from inference.recording import LEADS, Sex
from tests.fakes import NOW, make_prediction

TEXT = st.text(max_size=12)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PROBABILITIES = st.fixed_dictionaries({superclass: st.floats(0, 1) for superclass in Superclass})
CODINGS = st.builds(Coding, TEXT, TEXT, TEXT)
MODELS = st.builds(
    ModelInfo, name=TEXT, version=TEXT, status=st.sampled_from(ModelStatus), sha256=TEXT, waived=st.none() | TEXT
)
FINDINGS = st.builds(
    QualityFinding,
    code=st.sampled_from(QualityCode),
    severity=st.sampled_from(Severity),
    leads=st.lists(st.sampled_from(LEADS), max_size=3).map(tuple),
    text=TEXT,
)
RECOMMENDATIONS = st.builds(
    Recommendation,
    action=TEXT,
    urgency=st.sampled_from(Urgency),
    confidence=st.floats(0, 1),
    diagnosis=st.none() | st.sampled_from(Superclass),
    rule=TEXT,
    rationale=TEXT,
    source=TEXT,
    code=st.none() | CODINGS,
)
VALUES = st.none() | FINITE
ANALYSES = st.builds(
    Analysis,
    id=st.uuids(),
    door=st.sampled_from(Door),
    analyzed_at=st.datetimes(timezones=st.just(UTC)),
    recorded_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    age=st.none() | st.floats(0, 130),
    sex=st.sampled_from(Sex),
    sampling_rate=FINITE,
    duration=FINITE,
    quality=st.builds(QualityReport, st.lists(FINDINGS, max_size=3).map(tuple)),
    measurements=st.builds(Measurements, VALUES, VALUES, VALUES, VALUES, VALUES, VALUES),
    prediction=st.none() | st.builds(Prediction, probabilities=PROBABILITIES, thresholds=PROBABILITIES, model=MODELS),
    recommendations=st.lists(RECOMMENDATIONS, max_size=3).map(tuple),
    conclusion=TEXT,
    conclusion_codes=st.lists(CODINGS, max_size=2).map(tuple),
    outside_intended_use=st.lists(TEXT, max_size=2).map(tuple),
    archived=st.booleans(),
    warnings=st.lists(TEXT, max_size=3).map(tuple),
    mode=st.sampled_from(Mode),
    policy=st.builds(PolicyInfo, name=TEXT, version=TEXT, sha256=TEXT),
    timings=st.dictionaries(TEXT, FINITE, max_size=3),
)

ANALYSIS = Analysis(
    id=UUID("00000000-0000-7000-8000-000000000001"),
    door=Door.MLLP,
    analyzed_at=NOW,
    recorded_at=NOW - timedelta(minutes=10),
    age=74.0,
    sex=Sex.MALE,
    sampling_rate=500.0,
    duration=10.0,
    quality=QualityReport(),
    measurements=Measurements(heart_rate=71.5),
    prediction=make_prediction(MI=0.83),
    recommendations=(),
    conclusion="Findings.",
    conclusion_codes=(),
    outside_intended_use=(),
    archived=False,
    warnings=(),
    mode=Mode.LIVE,
    policy=PolicyInfo(name="default", version="1.0.0", sha256="0" * 64),
    timings={"map": 0.0001},
)


@settings(max_examples=150, deadline=None)
@given(ANALYSES)
def test_what_was_written_is_read_again_exactly(analysis: Analysis) -> None:
    content = to_json(analysis)
    again = from_json(content)
    assert again == analysis
    assert to_json(again) == content


def test_types_come_back_not_only_equal_values() -> None:
    again = from_json(to_json(ANALYSIS))
    assert again.prediction is not None
    assert type(again.door) is Door
    assert type(again.sex) is Sex
    assert type(again.prediction.model.status) is ModelStatus
    assert {type(c) for c in again.prediction.probabilities} == {Superclass}
    assert again.analyzed_at.tzinfo is not None


def test_the_offset_of_a_time_is_kept() -> None:
    local = datetime.fromisoformat("2026-03-02T10:00:00.123456+05:30")
    assert from_json(to_json(replace(ANALYSIS, analyzed_at=local))).analyzed_at.isoformat() == local.isoformat()


def test_read_only_mappings_are_written_too() -> None:
    prediction = ANALYSIS.prediction
    assert prediction is not None
    guarded = replace(prediction, probabilities=MappingProxyType(dict(prediction.probabilities)))
    analysis = replace(ANALYSIS, prediction=guarded, timings=MappingProxyType({"map": 0.5}))
    assert from_json(to_json(analysis)).timings == {"map": 0.5}


def test_every_field_is_in_the_document_by_its_name() -> None:
    document = orjson.loads(to_json(ANALYSIS))
    assert set(document) == {field.name for field in fields(Analysis) if field.compare} | {"format"}
    assert document["format"] == FORMAT
    assert document["prediction"]["probabilities"]["MI"] == 0.83
    assert set(PLAIN_FIELDS) <= set(document)


@pytest.mark.parametrize("field", [field.name for field in fields(Analysis) if field.compare])
def test_a_document_with_a_field_missing_is_refused(field: str) -> None:
    document = orjson.loads(to_json(ANALYSIS))
    del document[field]
    with pytest.raises(ValueError, match="not a complete Analysis"):
        from_json(orjson.dumps(document))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b'{"format": 2}'])
def test_what_is_no_stored_analysis_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not an Analysis"):
        from_json(content)
