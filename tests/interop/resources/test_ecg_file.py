from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from inference.errors import EcgError, LeadsMissing, Malformed, UnsupportedMediaType
from inference.formats import read
from inference.formats.exchange import DICOM
from inference.recording import LEADS, Sex
from interop.resources.ecg_file import MEDIA_TYPES, FileEcg, decode_file
from interop.resources.identifiers import Identifier
from tests.inference.formats.exchange_files import INSTANCE, RECORDED, WRITERS, aecg, dicom, muse_xml, philips_xml, scp

ALL = pytest.mark.parametrize("name", WRITERS)
SMALL = np.arange(12 * 200, dtype=np.int16).reshape(12, 200) % 331 - 120
DOCUMENT = b'<id root="61d1a24f-b47e-41aa-ae95-f8ac302f4eeb"/>'
SUBJECT = b'<id extension="4711"/>'


def decoded(content: bytes, content_type: str | None = None) -> FileEcg:
    return decode_file(content, content_type, zone=UTC)


def items(**values: str) -> list[Dataset]:
    """A DICOM sequence of one item."""
    item = Dataset()
    for name, value in values.items():
        setattr(item, name, value)
    return [item]


def issued_by(universal: str, kind: str) -> list[Dataset]:
    return items(UniversalEntityID=universal, UniversalEntityIDType=kind)


@ALL
def test_bytes_give_the_same_recording_as_a_file(tmp_path: Path, name: str) -> None:
    file, write = WRITERS[name]
    (tmp_path / file).write_bytes(write(SMALL))
    recording, expected = decoded(write(SMALL)).recording, read(tmp_path / file)
    np.testing.assert_array_equal(recording.signal, expected.signal)
    assert recording.notes == expected.notes


@ALL
def test_sex_age_time_and_patient_id_arrive(name: str) -> None:
    _, write = WRITERS[name]
    zone = ZoneInfo("Europe/Berlin")
    ecg = decode_file(write(SMALL), None, zone=zone)
    assert (ecg.recording.sex, ecg.recording.age) == (Sex.FEMALE, 63)
    assert ecg.recording.recorded_at == RECORDED.replace(tzinfo=zone).astimezone(UTC)
    assert ecg.stated.patient == (Identifier("4711"),)


@ALL
def test_only_a_file_that_is_unique_in_the_world_names_itself(name: str) -> None:
    expected = {
        "DICOM": (Identifier(f"urn:oid:{INSTANCE}", "urn:dicom:uid"),),
        "aECG": (Identifier("urn:uuid:61d1a24f-b47e-41aa-ae95-f8ac302f4eeb", "urn:ietf:rfc3986"),),
    }
    assert decoded(WRITERS[name][1](SMALL)).stated.identifiers == expected.get(name, ())


def test_a_file_of_a_real_cart_is_read_with_all_that_it_states() -> None:
    content = Path(str(get_testdata_file("waveform_ecg.dcm"))).read_bytes()
    dataset, ecg = pydicom.dcmread(BytesIO(content)), decoded(content, "application/dicom")
    assert ecg.kind == DICOM
    assert ecg.recording.signal.shape == (12, 10_000)
    assert (ecg.recording.age, ecg.recording.sampling_rate) == (42, 1000)
    assert ecg.stated.identifiers == (Identifier(f"urn:oid:{dataset.SOPInstanceUID}", "urn:dicom:uid"),)
    assert ecg.stated.patient == (Identifier(dataset.PatientID),)
    assert ecg.device is not None
    assert str(dataset.Manufacturer) in ecg.device


@pytest.mark.parametrize(
    ("universal", "kind", "system"),
    [
        ("1.2.840.99", "ISO", "urn:oid:1.2.840.99"),
        ("61d1a24f-b47e-41aa-ae95-f8ac302f4eeb", "UUID", "urn:uuid:61d1a24f-b47e-41aa-ae95-f8ac302f4eeb"),
        ("https://hospital.example/mrn", "URI", "https://hospital.example/mrn"),
        ("hospital.example", "URI", None),
        ("hospital.example", "DNS", None),
    ],
)
def test_the_issuer_of_a_patient_id_becomes_its_system_only_where_it_is_a_uri(
    universal: str, kind: str, system: str | None
) -> None:
    content = dicom(SMALL, IssuerOfPatientIDQualifiersSequence=issued_by(universal, kind))
    assert decoded(content).stated.patient == (Identifier("4711", system),)


def test_a_local_issuer_is_told_by_its_name_and_is_no_system() -> None:
    stated = decoded(dicom(SMALL, IssuerOfPatientID="CITY HOSPITAL")).stated
    assert stated.patient == (Identifier("4711"),)
    assert stated.patient_issuer == "CITY HOSPITAL"


def test_other_patient_ids_follow_the_first_and_none_comes_twice() -> None:
    others = [*items(PatientID="9"), *items(PatientID="4711"), *items(IssuerOfPatientID="X")]
    stated = decoded(dicom(SMALL, OtherPatientIDsSequence=others)).stated
    assert stated.patient == (Identifier("4711"), Identifier("9"))


def test_order_numbers_of_dicom_carry_their_issuers() -> None:
    stated = decoded(
        dicom(
            SMALL,
            AccessionNumber="A-1",
            IssuerOfAccessionNumberSequence=issued_by("1.2.3", "ISO"),
            PlacerOrderNumberImagingServiceRequest="P-1",
            OrderPlacerIdentifierSequence=issued_by("1.2.4", "ISO"),
        )
    ).stated
    assert stated.accession_number == Identifier("A-1", "urn:oid:1.2.3")
    assert stated.placer_order_number == Identifier("P-1", "urn:oid:1.2.4")
    assert stated.filler_order_number is None


def test_order_numbers_are_found_in_the_request_attributes_too() -> None:
    request = items(FillerOrderNumberImagingServiceRequest="F-1", AccessionNumber="A-2")
    stated = decoded(dicom(SMALL, RequestAttributesSequence=request)).stated
    assert stated.filler_order_number == Identifier("F-1")
    assert stated.accession_number == Identifier("A-2")


def test_a_patient_id_that_is_two_values_names_nobody() -> None:
    assert decoded(dicom(SMALL, PatientID="1\\2")).stated.patient == ()


def test_a_file_without_a_patient_id_names_nobody() -> None:
    assert decoded(dicom(SMALL, PatientID="")).stated.patient == ()
    assert decoded(muse_xml(SMALL).replace(b"<PatientID>4711</PatientID>", b"")).stated.patient == ()


@pytest.mark.parametrize("placeholder", [b"?", b"UNK", b"NA", b"N/A", b""])
def test_a_placeholder_in_an_aecg_is_no_patient(placeholder: bytes) -> None:
    content = aecg(SMALL).replace(SUBJECT, b'<id root="1.2.3" extension="' + placeholder + b'"/>')
    assert decoded(content).stated.patient == ()


def test_the_root_of_an_aecg_subject_is_its_system() -> None:
    content = aecg(SMALL).replace(SUBJECT, b'<id root="1.2.3" extension="4711"/>')
    assert decoded(content).stated.patient == (Identifier("4711", "urn:oid:1.2.3"),)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b'<id root="1.2.3" extension="E-1"/>', (Identifier("E-1", "urn:oid:1.2.3"),)),
        (b'<id root="1.2.3.4"/>', (Identifier("urn:oid:1.2.3.4", "urn:ietf:rfc3986"),)),
        (
            b'<id root="61D1A24F-B47E-41AA-AE95-F8AC302F4EEB"/>',
            (Identifier("urn:uuid:61d1a24f-b47e-41aa-ae95-f8ac302f4eeb", "urn:ietf:rfc3986"),),
        ),
        (b'<id extension="E-1"/>', ()),
        (b'<id root="ecg" extension="E-1"/>', ()),
        (b'<id nullFlavor="NI"/>', ()),
        (b"", ()),
    ],
)
def test_an_aecg_is_known_by_its_document_id_where_that_has_a_root(
    document: bytes, expected: tuple[Identifier, ...]
) -> None:
    assert decoded(aecg(SMALL).replace(DOCUMENT, document)).stated.identifiers == expected


def test_an_aecg_in_a_wrongly_declared_encoding_still_names_itself() -> None:
    content = aecg(SMALL).replace(b'<id extension="4711"/>', '<id root="1.2" extension="ÄÖ"/>'.encode("latin-1"))
    assert decoded(content).stated.patient == (Identifier("ÄÖ", "urn:oid:1.2"),)


def test_a_device_is_what_the_file_states_and_unknown_else() -> None:
    content = dicom(SMALL, Manufacturer="Acme", ManufacturerModelName="Cart 5", DeviceSerialNumber="77")
    assert decoded(content).device == "Acme, Cart 5, serial number 77"
    assert decoded(dicom(SMALL)).device is None


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (dicom(SMALL), "application/dicom"),
        (scp(SMALL), "application/octet-stream"),
        (scp(SMALL), None),
        (aecg(SMALL), "application/xml; charset=utf-8"),
        (aecg(SMALL), "Application/HL7+XML"),
        (muse_xml(SMALL), "text/xml"),
        (philips_xml(SMALL), "application/octet-stream"),
    ],
)
def test_a_stated_type_that_agrees_is_taken(content: bytes, content_type: str | None) -> None:
    assert decoded(content, content_type).recording.signal.shape == (12, 200)


@pytest.mark.parametrize(
    ("content", "content_type", "text"),
    [
        (scp(SMALL), "application/dicom", "the content is SCP-ECG"),
        (dicom(SMALL), "text/xml", "the content is DICOM"),
        (aecg(SMALL), "application/pdf", "no ECG file"),
        (dicom(SMALL), "image/png", "no ECG file"),
        (b"%PDF-1.7", None, "none of"),
    ],
)
def test_a_stated_type_that_the_content_contradicts_is_refused(
    content: bytes, content_type: str | None, text: str
) -> None:
    with pytest.raises(UnsupportedMediaType, match=text):
        decoded(content, content_type)


def test_what_the_reader_refuses_is_refused_here() -> None:
    with pytest.raises(LeadsMissing, match="V6"):
        decoded(scp(SMALL[:11], LEADS[:11]))
    damaged = bytearray(scp(SMALL))
    damaged[-100] ^= 1
    with pytest.raises(Malformed, match="checksum"):
        decoded(bytes(damaged))


def test_a_stated_zone_wins_over_the_given_one() -> None:
    ecg = decode_file(scp(SMALL, zone_minutes=60), None, zone=ZoneInfo("Asia/Tokyo"))
    assert ecg.recording.recorded_at == datetime(2026, 3, 2, 8, 15, 30, tzinfo=UTC)


@ALL
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_nothing_else(name: str, data: st.DataObject) -> None:
    write: Any = WRITERS[name][1]
    content = bytearray(write(SMALL[:, :40]))
    for _ in range(data.draw(st.integers(1, 6))):
        # Half of the damage in the first part, where the identifiers are.
        end = data.draw(st.sampled_from([len(content), 1500])) - 1
        content[data.draw(st.integers(0, min(end, len(content) - 1)))] = data.draw(st.integers(0, 255))
    content_type = data.draw(st.sampled_from([None, *MEDIA_TYPES]))
    try:
        kind = decoded(bytes(content), content_type).kind
    except EcgError:
        return
    assert kind in MEDIA_TYPES[content_type or ""]
