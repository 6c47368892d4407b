from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actions.analysis import Analysis, Door, Mode, RequestContext, Urgency
from actions.analyze import Analyze
from actions.computed import Computed
from actions.policy import load_policy
from actions.serialize import from_json, to_json
from inference.errors import ModelUnavailable
from inference.features import FEATURE_NAMES
from inference.measurements import Measurements
from inference.prediction import Prediction
from inference.prepare import MODEL_SAMPLES
from inference.quality import QualityCode, Severity
from inference.recording import LEADS, Recording, Sex, assemble
from tests.fakes import CANDIDATE, CHAMPION, NOW, FakeCache, FakeClassify, FixedClock, SequentialIds, make_prediction

POLICY = load_policy()

CONTEXT = RequestContext(door=Door.FHIR, received_at=NOW, correlation_id="c-1")


def read_example(path: Path, **given: Any) -> Recording:
    """An example in its plain form: WFDB format 16, 12 leads, 1 uV a step."""
    samples = np.fromfile(path.with_suffix(".dat"), "<i2").reshape(-1, len(LEADS)).T
    signal, _ = assemble({lead: row / 1000 for lead, row in zip(LEADS, samples, strict=True)})
    fields: dict[str, Any] = {"recorded_at": NOW - timedelta(minutes=10), "age": 74.0, "sex": Sex.MALE}
    return Recording(signal=signal, sampling_rate=500.0, **fields | given)


@pytest.fixture(scope="module")
def infarct(examples: Path) -> Recording:
    return read_example(examples / "00184_hr")


def make_analyze(prediction: Prediction | None = None) -> tuple[Analyze, FakeClassify]:
    classify = FakeClassify(prediction or make_prediction(MI=0.83))
    return Analyze(classify=classify, policy=POLICY, clock=FixedClock(), ids=SequentialIds()), classify


def analyze(recording: Recording, prediction: Prediction | None = None, context: RequestContext = CONTEXT) -> Analysis:
    return make_analyze(prediction)[0](recording, context)


def changed(recording: Recording, **given: Any) -> Recording:
    return replace(recording, **given)


def test_a_real_infarct_at_083_activates_the_cath_lab(infarct: Recording) -> None:
    analysis = analyze(infarct)
    first = analysis.recommendations[0]
    assert (first.action, first.urgency, first.confidence) == ("Activate cath lab", Urgency.IMMEDIATE, 0.83)
    assert analysis.urgency is Urgency.IMMEDIATE
    assert analysis.interpretable


def test_the_model_sees_whole_windows_and_all_features(infarct: Recording) -> None:
    analyze_, classify = make_analyze()
    analyze_(infarct, CONTEXT)
    ((window,),) = classify.calls
    assert window.signal.shape == (len(LEADS), MODEL_SAMPLES)
    assert window.features.shape == (len(FEATURE_NAMES),)


def test_the_analysis_tells_what_came_in_and_who_judged_it(infarct: Recording) -> None:
    context = replace(CONTEXT, door=Door.MLLP, mode=Mode.SILENT)
    analysis = analyze(infarct, context=context)
    assert (analysis.door, analysis.mode, analysis.analyzed_at) == (Door.MLLP, Mode.SILENT, NOW)
    assert (analysis.age, analysis.sex, analysis.duration, analysis.sampling_rate) == (74.0, Sex.MALE, 10.0, 500.0)
    assert analysis.recorded_at == infarct.recorded_at
    assert analysis.policy == POLICY.info
    assert analysis.id.version == 7
    assert analysis.measurements.heart_rate is not None


def test_every_stage_is_timed(infarct: Recording) -> None:
    timings = analyze(infarct).timings
    assert list(timings) == ["quality", "features", "prepare", "classify", "map"]
    assert all(seconds >= 0 for seconds in timings.values())


def test_each_analysis_has_its_own_id(infarct: Recording) -> None:
    analyze_, _ = make_analyze()
    assert analyze_(infarct, CONTEXT).id != analyze_(infarct, CONTEXT).id


def test_the_halves_make_the_same_analysis_as_the_whole(infarct: Recording) -> None:
    analyze_, classify = make_analyze()
    begun = analyze_.begin(infarct, CONTEXT)
    assert begun.waits
    halves = analyze_.finish(begun, classify(begun.windows))
    whole = analyze_(infarct, CONTEXT)
    assert "classify" not in halves.timings
    assert replace(halves, id=whole.id, timings={}) == replace(whole, timings={})


def test_the_time_that_a_batch_took_is_recorded_when_given(infarct: Recording) -> None:
    analyze_, classify = make_analyze()
    begun = analyze_.begin(infarct, CONTEXT)
    assert analyze_.finish(begun, classify(begun.windows), classify_seconds=0.25).timings["classify"] == 0.25


def test_a_half_analysis_of_a_usable_recording_cannot_be_finished_without_a_prediction(infarct: Recording) -> None:
    analyze_, _ = make_analyze()
    with pytest.raises(ValueError, match="needs a prediction"):
        analyze_.finish(analyze_.begin(infarct, CONTEXT), None)


def test_what_had_to_be_calculated_is_kept(infarct: Recording) -> None:
    analyze_, classify = make_analyze()
    cache = FakeCache()
    analysis = replace(analyze_, cache=cache)(infarct, CONTEXT)
    (kept,) = cache.kept
    assert analysis.computed is kept
    assert (kept.measurements, kept.prediction) == (analysis.measurements, analysis.prediction)
    np.testing.assert_array_equal(kept.features, classify.calls[0][0].features)
    plain = analyze_(infarct, CONTEXT)
    assert plain.computed is None
    assert replace(analysis, id=plain.id, timings={}) == replace(plain, timings={})


def test_what_is_known_is_not_calculated_and_everything_else_is_made_anew(infarct: Recording) -> None:
    analyze_, classify = make_analyze()
    row = np.zeros(len(FEATURE_NAMES), np.float32)
    known = Computed("d", b"k", row, Measurements(heart_rate=61.0), make_prediction(MI=0.91), is_new=False)
    cached = replace(analyze_, cache=FakeCache(known))
    old = changed(infarct, recorded_at=NOW - timedelta(days=3))
    first, second = cached(infarct, CONTEXT), cached(old, replace(CONTEXT, mode=Mode.SILENT))
    assert classify.calls == []
    assert (first.computed, first.measurements, first.prediction) == (known, known.measurements, known.prediction)
    assert not {"features", "prepare", "classify"} & set(first.timings)
    assert (first.urgency, second.urgency) == (Urgency.IMMEDIATE, Urgency.ROUTINE)
    assert (first.archived, second.archived) == (False, True)
    assert (first.mode, second.mode) == (Mode.LIVE, Mode.SILENT)
    assert first.id != second.id
    assert first.quality == analyze_(infarct, CONTEXT).quality


def test_a_prediction_for_a_known_recording_is_a_defect(infarct: Recording) -> None:
    analyze_, classify = make_analyze()
    known = Computed("d", b"k", np.zeros(1, np.float32), Measurements(), make_prediction(MI=0.91))
    cached = replace(analyze_, cache=FakeCache(known))
    begun = cached.begin(infarct, CONTEXT)
    assert not begun.waits
    with pytest.raises(ValueError, match="unless one is known"):
        cached.finish(begun, classify.prediction)


def test_nothing_is_kept_of_a_signal_that_nobody_could_read() -> None:
    cache = FakeCache()
    cached = replace(make_analyze()[0], cache=cache)
    flat = Recording(signal=np.zeros((12, 5000), np.float32), sampling_rate=500.0)
    assert cached(flat, CONTEXT).computed is None
    assert cache.kept == []


def test_a_known_digest_is_handed_on(infarct: Recording) -> None:
    cache = FakeCache()
    replace(make_analyze()[0], cache=cache).begin(infarct, CONTEXT, "digest")
    assert cache.asked == [(infarct, "digest")]


@pytest.mark.parametrize(
    "signal",
    [np.zeros((12, 5000), np.float32), np.random.default_rng(7).normal(0, 0.5, (12, 5000)).astype(np.float32)],
    ids=["all-zero", "white-noise"],
)
def test_a_signal_that_nobody_could_read_is_not_classified_and_the_reason_is_told(signal: Any) -> None:
    analyze_, classify = make_analyze()
    analysis = analyze_(Recording(signal=signal, sampling_rate=500.0, recorded_at=NOW, age=50.0), CONTEXT)
    assert classify.calls == []
    assert (analysis.prediction, analysis.recommendations, analysis.conclusion_codes) == (None, (), ())
    assert not analysis.interpretable
    assert analysis.urgency is Urgency.NONE
    assert analysis.measurements.heart_rate is None
    assert analysis.conclusion.startswith("The ECG could not be interpreted: ")
    refusals = [f.text.rstrip(".") for f in analysis.quality.findings if f.severity is Severity.REFUSED]
    assert refusals
    assert all(text in analysis.conclusion for text in refusals)
    assert "features" not in analysis.timings


def test_a_prediction_for_an_unreadable_signal_is_a_defect() -> None:
    analyze_, classify = make_analyze()
    begun = analyze_.begin(Recording(signal=np.zeros((12, 5000), np.float32), sampling_rate=500.0), CONTEXT)
    with pytest.raises(ValueError, match="another has none"):
        analyze_.finish(begun, classify.prediction)


@pytest.mark.parametrize(
    ("recorded_at", "archived", "urgency"),
    [
        (NOW - timedelta(hours=23, minutes=59), False, Urgency.IMMEDIATE),
        (NOW - timedelta(hours=24), True, Urgency.ROUTINE),
        (None, False, Urgency.ROUTINE),
        (NOW + timedelta(hours=1), False, Urgency.ROUTINE),
    ],
)
def test_only_a_recent_recording_is_immediate_and_only_an_old_one_is_archived(
    infarct: Recording, recorded_at: datetime | None, archived: bool, urgency: Urgency
) -> None:
    analysis = analyze(changed(infarct, recorded_at=recorded_at))
    assert (analysis.archived, analysis.urgency) == (archived, urgency)


def test_the_acute_window_is_a_setting(infarct: Recording) -> None:
    analyze_, _ = make_analyze()
    narrow = replace(analyze_, acute_window=timedelta(minutes=5))
    assert narrow(infarct, CONTEXT).urgency is Urgency.ROUTINE


def test_a_recording_from_the_future_is_undated_with_a_warning(infarct: Recording) -> None:
    analysis = analyze(changed(infarct, recorded_at=NOW + timedelta(hours=1)))
    assert analysis.recorded_at is None
    assert any("lies in the future" in warning for warning in analysis.warnings)


@pytest.mark.parametrize("given", [{"age": 12.0}, {"paced": True}, {"resting": False}])
def test_outside_the_intended_use_nothing_is_recommended_and_the_reason_is_kept(
    infarct: Recording, given: dict[str, Any]
) -> None:
    analysis = analyze(changed(infarct, **given))
    assert analysis.recommendations == ()
    assert analysis.conclusion_codes == ()
    assert len(analysis.outside_intended_use) == 1
    assert analysis.outside_intended_use[0] in analysis.conclusion
    assert analysis.prediction is not None


def test_exchanged_arm_electrodes_ask_for_a_new_ecg_first(examples: Path) -> None:
    recording = read_example(examples / "00010_hr", age=22.0, sex=Sex.FEMALE)
    signal = recording.signal.copy()
    # Left and right arm exchanged: I changes its sign, II and III change places, and so do aVR and aVL.
    signal[0], signal[[1, 2]], signal[[3, 4]] = -signal[0], signal[[2, 1]], signal[[4, 3]]
    analysis = analyze(changed(recording, signal=signal))
    assert analysis.quality.has(QualityCode.LEAD_REVERSAL)
    assert analysis.recommendations[0].rule == "lead-reversal"
    assert analysis.urgency is Urgency.URGENT


def test_candidate_unknown_age_quality_and_notes_are_all_warned_of(infarct: Recording) -> None:
    signal = infarct.signal.copy()
    signal[8] = 0.0
    recording = changed(infarct, signal=signal, age=None, notes=("Lead III was calculated.",))
    analysis = analyze(recording, make_prediction(CANDIDATE, MI=0.5))
    assert "is a candidate" in analysis.warnings[0]
    assert "age is unknown" in analysis.warnings[1]
    assert {finding.text for finding in analysis.quality.findings} <= set(analysis.warnings)
    assert analysis.quality.findings
    assert analysis.warnings[-1] == "Lead III was calculated."


def test_a_failing_model_is_an_error_and_no_empty_result(infarct: Recording) -> None:
    def broken(windows: object) -> Prediction:
        raise ModelUnavailable("the session is gone")

    failing = replace(make_analyze()[0], classify=broken)
    with pytest.raises(ModelUnavailable):
        failing(infarct, CONTEXT)


def test_a_real_analysis_survives_storage(infarct: Recording) -> None:
    analysis = analyze(infarct)
    assert from_json(to_json(analysis)) == analysis


def test_what_a_candidate_finds_is_silent_where_candidates_are_though_the_request_was_live(infarct: Recording) -> None:
    for model, silent_candidates, mode in (
        (CANDIDATE, True, Mode.SILENT),
        (CANDIDATE, False, Mode.LIVE),
        (CHAMPION, True, Mode.LIVE),
    ):
        use_case = replace(make_analyze(make_prediction(model, MI=0.83))[0], silent_candidates=silent_candidates)
        assert use_case(infarct, CONTEXT).mode is mode
