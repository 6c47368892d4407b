from collections.abc import Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from inference.errors import (
    EcgError,
    LeadsMissing,
    MissingPatientId,
    SamplingRateInvalid,
    SignalMalformed,
    UnitMissing,
    UnitUnsupported,
    UnsupportedMediaType,
)
from inference.recording import LEADS, Sex
from interop.hl7.message import parse
from interop.hl7.oru import DecodedEcg, decode, holds_waveform
from interop.hl7.senders import Sender
from tests.vectors.hl7 import oru

BERLIN = ZoneInfo("Europe/Berlin")


def sender(systems: Mapping[str, str] | None = None) -> Sender:
    return Sender(time_zone=BERLIN, processing_ids=frozenset({"P"}), identifier_systems=systems or {})


def decoded(content: bytes) -> DecodedEcg:
    message = parse(content)
    assert holds_waveform(message)
    return decode(message, sender())


def with_leads(*segments: bytes, msh: bytes = oru.MSH, pid: bytes = oru.PID, obr: bytes = oru.OBR) -> bytes:
    return oru.message(msh, pid, obr, *segments)


def values(ecg: DecodedEcg, lead: str) -> list[float]:
    return [round(float(value), 6) for value in ecg.recording.signal[LEADS.index(lead)]]


SEVEN = oru.EIGHT_LEADS[1:]


def test_leads_and_what_belongs_to_them_are_read() -> None:
    ecg = decoded(oru.ECG)
    assert values(ecg, "V6") == [0.1, 0.2, 0.3]
    assert ecg.recording.sampling_rate == 500
    assert ecg.recording.sex is Sex.FEMALE
    assert ecg.recording.age == pytest.approx(74, abs=0.01)


def test_missing_limb_leads_are_calculated_and_noted() -> None:
    ecg = decoded(oru.ECG)
    assert values(ecg, "aVR") == [-0.1, -0.2, -0.3]
    assert any("aVR" in note for note in ecg.recording.notes)


def test_a_lead_in_millivolt_with_its_own_facets_is_read_as_in_the_published_example() -> None:
    content = with_leads(*oru.LEAD_I_IN_MILLIVOLT, *SEVEN, oru.RATE)
    assert values(decoded(content), "I") == [-0.537, -0.542, 0.25]


def test_counts_are_scaled_by_their_resolution_and_invalid_samples_are_nan() -> None:
    one, two, three = values(decoded(with_leads(*oru.LEAD_I_IN_COUNTS, *SEVEN, oru.RATE)), "I")
    assert (one, two) == (0.4, -0.5)
    assert np.isnan(three)


def test_invalid_samples_are_noted_with_their_leads() -> None:
    ecg = decoded(with_leads(*oru.LEAD_I_IN_COUNTS, *SEVEN, oru.RATE))
    assert any("I (1)" in note for note in ecg.recording.notes)


@pytest.mark.parametrize(
    ("unit", "expected"),
    [(b"uV", 0.001), (b"266419^MDC_DIM_MICRO_VOLT^MDC", 0.001), (b"mV^millivolt^UCUM", 1.0), (b"V", 1000.0),
     (b"99^local^L^mV^millivolt^UCUM", 1.0)],
)  # fmt: skip
def test_amplitudes_are_converted_by_their_unit(unit: bytes, expected: float) -> None:
    first = oru.lead("I", b"1^1^1", unit=unit)
    assert values(decoded(with_leads(first, *SEVEN, oru.RATE)), "I") == [expected] * 3


def test_values_outside_the_data_range_are_nan_and_those_on_its_limits_are_not() -> None:
    facet = b"OBX|9|NR|67981^MDC_ATTR_DATA_RANGE^MDC|1.1.1.131329.1|-5000^10000|uV|||||F"
    first = oru.lead("I", b"-5.0^10.0^10.001")
    read = decoded(with_leads(first, facet, *SEVEN, oru.RATE)).recording.signal[0]
    assert list(np.isnan(read)) == [False, False, True]


def test_a_small_inop_value_is_an_event_flag_and_not_a_mark() -> None:
    facet = b"OBX|9|NM|196660^MDC_EVT_INOP^MDC|1.1.1.131329.1|0|||||||F"
    assert values(decoded(with_leads(oru.lead("I", b"0^0^1"), facet, *SEVEN, oru.RATE)), "I") == [0, 0, 1]


@pytest.mark.parametrize(
    ("value", "unit", "rate"),
    [(b"250", b"264608^MDC_DIM_PER_SEC^MDC", 250), (b"250", b"264640^MDC_DIM_HZ^MDC", 250), (b"0.5", b"kHz", 500),
     (b"2", b"ms", 500), (b"4", b"264338^MDC_DIM_MILLI_SEC^MDC", 250), (b"1000", b"", 1000)],
)  # fmt: skip
def test_the_sampling_rate_is_read_by_its_unit(value: bytes, unit: bytes, rate: float) -> None:
    facet = b"OBX|9|NM|67981^MDC_ATTR_SAMP_RATE^MDC||" + value + b"|" + unit
    assert decoded(with_leads(*oru.EIGHT_LEADS, facet)).recording.sampling_rate == pytest.approx(rate)


def test_a_facet_tied_to_its_lead_counts_more_than_the_common_one() -> None:
    ties = [oru.RATE.replace(b"1.1.1.0.1|500", f"1.1.1.{code}.1|250".encode()) for code in
            (131329, 131330, 131331, 131332, 131333, 131334, 131335, 131336)]  # fmt: skip
    assert decoded(with_leads(*oru.EIGHT_LEADS, *ties, oru.RATE)).recording.sampling_rate == 250


def test_waveforms_and_ordinary_results_may_share_a_message() -> None:
    other = (b"OBR|1|PL-1|FI-1|2823-3^Potassium^LN", b"OBX|1|NM|2823-3^Potassium^LN||4.1|mmol/L|||||F")
    ecg = decoded(oru.message(oru.MSH, oru.PID, *other, oru.OBR, *oru.EIGHT_LEADS, oru.RATE))
    assert ecg.filler_order_number is not None
    assert ecg.filler_order_number.value == "FI-7"


def test_a_signal_that_is_no_lead_is_passed_over() -> None:
    pleth = b"OBX|9|NA|150452^MDC_PULS_OXIM_PLETH^MDC|1.1.1.7|1^2|%|||||F"
    assert decoded(with_leads(pleth, *oru.EIGHT_LEADS, oru.RATE)).recording.signal.shape == (12, 3)


REFUSALS: list[tuple[str, bytes, type[EcgError], str | None]] = [
    ("no unit, no resolution", with_leads(oru.lead("I", unit=b""), *SEVEN, oru.RATE), UnitMissing, "OBX[1]-6"),
    ("a unit of pressure", with_leads(oru.lead("I", unit=b"mm[Hg]"), *SEVEN, oru.RATE), UnitUnsupported, "OBX[1]-6"),
    (
        "a resolution without a unit",
        with_leads(*oru.LEAD_I_IN_COUNTS[:2], oru.LEAD_I_IN_COUNTS[2].rpartition(b"|")[0], *SEVEN, oru.RATE),
        UnitMissing,
        "OBX[3]-6",
    ),
    ("no sampling rate", with_leads(*oru.EIGHT_LEADS), SamplingRateInvalid, "OBX[1]-4"),
    (
        "a rate in volts",
        with_leads(*oru.EIGHT_LEADS, oru.RATE.replace(b"264608^MDC_DIM_PER_SEC^MDC", b"mV")),
        SamplingRateInvalid,
        "OBX[9]-6",
    ),
    ("a rate of zero", with_leads(*oru.EIGHT_LEADS, oru.RATE.replace(b"500", b"0")), SamplingRateInvalid, "OBX[9]-5"),
    ("a rate that is no number", with_leads(*oru.EIGHT_LEADS, oru.RATE.replace(b"500", b"x")), SignalMalformed,
     "OBX[9]-5"),
    (
        "two rates for all leads",
        with_leads(*oru.EIGHT_LEADS, oru.RATE, oru.RATE.replace(b"500", b"250")),
        SignalMalformed,
        "OBX[10]-5",
    ),
    (
        "one lead at another rate",
        with_leads(*oru.EIGHT_LEADS, oru.RATE, oru.RATE.replace(b"1.1.1.0.1|500", b"1.1.1.131336.1|250")),
        SamplingRateInvalid,
        "OBX[8]-5",
    ),
    ("seven leads", with_leads(*SEVEN, oru.RATE), LeadsMissing, None),
    ("a lead twice", with_leads(*oru.EIGHT_LEADS, oru.lead("I"), oru.RATE), SignalMalformed, "OBX[9]-3"),
    ("a lead that is shorter", with_leads(oru.lead("I", b"1^2"), *SEVEN, oru.RATE), SignalMalformed, None),
    ("an empty value", with_leads(oru.lead("I", b"1^^2"), *SEVEN, oru.RATE), SignalMalformed, "OBX[1]-5"),
    ("repetitions", with_leads(oru.lead("I", b"1^2~3^4"), *SEVEN, oru.RATE), SignalMalformed, "OBX[1]-5"),
    ("no PID", oru.message(oru.MSH, oru.OBR, *oru.EIGHT_LEADS, oru.RATE), MissingPatientId, "PID-3"),
    ("a withdrawn lead", with_leads(oru.lead("I", status=b"W"), *SEVEN, oru.RATE), LeadsMissing, None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "error", "element"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS]
)
def test_what_cannot_be_read_is_refused_with_its_place(
    content: bytes, error: type[EcgError], element: str | None
) -> None:
    with pytest.raises(error) as caught:
        decoded(content)
    assert type(caught.value) is error
    assert caught.value.element == element


@pytest.mark.parametrize("pid_3", [b"", b'""', b"^^^GENERAL^MR", b"A77^^^GENERAL^AN", b"A77^^^GENERAL^AN~V1^^^^VN"])
def test_a_patient_without_a_number_of_his_own_is_refused(pid_3: bytes) -> None:
    with pytest.raises(MissingPatientId):
        decoded(with_leads(*oru.EIGHT_LEADS, oru.RATE, pid=b"PID|1||" + pid_3))


def test_the_first_number_that_is_a_persons_identifies_the_patient() -> None:
    patient = decoded(oru.ECG).patient
    assert (patient.value, patient.authority) == ("4711", "GENERAL")
    assert patient.system == "urn:oid:2.16.840.1.113883.3.9"


def test_the_senders_table_gives_the_identifier_system() -> None:
    ecg = decode(parse(oru.ECG), sender({"GENERAL": "https://general.example/mrn"}))
    assert ecg.patient.reference() == {"identifier": {"value": "4711", "system": "https://general.example/mrn"}}
    assert ecg.patient_key == "https://general.example/mrn|4711"


def test_an_authority_without_a_known_system_is_named_as_assigner() -> None:
    pid = b"PID|1||4711^^^WARD3^MR"
    assert decoded(with_leads(*oru.EIGHT_LEADS, oru.RATE, pid=pid)).patient.reference() == {
        "identifier": {"value": "4711", "assigner": {"display": "WARD3"}}
    }


def test_order_numbers_and_what_results_echo_are_kept() -> None:
    ecg = decoded(oru.ECG)
    assert ecg.placer_order_number is not None
    assert (ecg.placer_order_number.value, ecg.placer_order_number.authority) == ("PL-5", "EHR")
    assert (ecg.placer_field, ecg.filler_field) == ("PL-5^EHR", "FI-7^CARDIO")
    assert ecg.patient_name == "Müller^Zoë"
    assert ecg.visit_number == "V-99^^^GENERAL"


def test_the_time_of_the_first_lead_counts_before_that_of_the_order() -> None:
    ecg = decoded(with_leads(*oru.LEAD_I_IN_MILLIVOLT, *SEVEN, oru.RATE))
    assert ecg.recording.recorded_at == datetime(2026, 3, 2, 8, 25, 1, tzinfo=UTC)


def test_a_time_without_offset_takes_that_of_the_message_and_says_so() -> None:
    ecg = decoded(oru.ECG)
    assert ecg.recording.recorded_at == datetime(2026, 3, 2, 8, 25, tzinfo=UTC)
    assert any("the message's own zone" in note for note in ecg.recording.notes)


def test_without_any_offset_the_senders_zone_is_assumed_and_said() -> None:
    msh = oru.MSH.replace(b"+0100", b"")
    ecg = decoded(with_leads(*oru.EIGHT_LEADS, oru.RATE, msh=msh, obr=oru.OBR.replace(b"20260302", b"20260702")))
    assert ecg.recording.recorded_at == datetime(2026, 7, 2, 7, 25, tzinfo=UTC)
    assert any("Europe/Berlin" in note for note in ecg.recording.notes)


def test_an_undated_recording_says_so_and_the_message_dates_the_age() -> None:
    ecg = decoded(with_leads(*oru.EIGHT_LEADS, oru.RATE, obr=b"OBR|1"))
    assert ecg.recording.recorded_at is None
    assert ecg.recording.age == pytest.approx(74, abs=0.01)
    assert any("does not say when" in note for note in ecg.recording.notes)


def test_a_date_of_birth_after_the_recording_leaves_the_age_unknown() -> None:
    ecg = decoded(with_leads(*oru.EIGHT_LEADS, oru.RATE, pid=oru.PID.replace(b"19520301", b"20300101")))
    assert ecg.recording.age is None
    assert any("date" in note and "unknown" in note for note in ecg.recording.notes)


@pytest.mark.parametrize(
    ("pid_8", "sex"), [(b"M", Sex.MALE), (b"f", Sex.FEMALE), (b"A", Sex.OTHER), (b"U", Sex.UNKNOWN), (b"", Sex.UNKNOWN)]
)
def test_sex_is_read_by_table_0001(pid_8: bytes, sex: Sex) -> None:
    pid = b"PID|1||4711^^^G^MR|||||" + pid_8
    assert decoded(with_leads(*oru.EIGHT_LEADS, oru.RATE, pid=pid)).recording.sex is sex


@pytest.mark.parametrize(
    "content",
    [
        oru.POTASSIUM,
        with_leads(*(oru.lead("I", status=status) for status in (b"D", b"W", b"X"))),
        with_leads(b"OBX|1|ED|PDF^Report^LN||CARDIO^application^pdf^Base64^JVBERi0=||||||F"),
        with_leads(b"OBX|1|TX|18844-1^Impression^LN||sinus rhythm||||||F"),
    ],
)
def test_a_message_without_an_ecg_has_nothing_to_analyse(content: bytes) -> None:
    assert not holds_waveform(parse(content))


def test_an_encapsulated_ecg_is_refused_and_not_passed_over() -> None:
    segment = b"OBX|1|ED|11524-6^EKG study^LN||CARDIO^application^dicom^Base64^AAAA||||||F"
    with pytest.raises(UnsupportedMediaType) as caught:
        holds_waveform(parse(with_leads(segment)))
    assert caught.value.element == "OBX[1]-5"


def test_a_multiplexed_array_is_refused_and_not_passed_over() -> None:
    with pytest.raises(SignalMalformed) as caught:
        holds_waveform(parse(with_leads(b"OBX|1|MA|ECG&WAV||1^2~3^4|mV|||||F")))
    assert caught.value.element == "OBX[1]-2"


def test_the_waveform_event_w01_is_refused_and_not_passed_over() -> None:
    with pytest.raises(SignalMalformed) as caught:
        holds_waveform(parse(oru.ECG.replace(b"ORU^R01^ORU_R01", b"ORU^W01^ORU_W01")))
    assert caught.value.element == "OBX[1]-2"


def test_a_non_breaking_space_in_a_name_is_kept() -> None:
    pid = oru.PID.replace("Zoë".encode(), "Zoë\u00a0A".encode())
    assert decoded(with_leads(*oru.EIGHT_LEADS, oru.RATE, pid=pid)).patient_name == "Müller^Zoë\u00a0A"
