"""An ECG file that came inside a resource (FHIR R4 Attachment, Binary) -> a Recording and what the file says of itself.

What kind of file it is, its content decides; a stated content type may only agree. A file can name itself: the SOP
instance of DICOM (as FHIR R4 ImagingStudy writes it) and the document id of HL7 aECG are unique in the world, so the
same file is known again when it comes twice. What a file does not state stays unknown.
"""

import re
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from io import BytesIO
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, ParseError

from inference.errors import Malformed, UnsupportedMediaType
from inference.formats.exchange import AECG, DICOM, FORMATS, XML_FORMATS, ExchangeFile, read_content
from inference.recording import Recording
from interop.resources.identifiers import Identifier

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

DICOM_UID = "urn:dicom:uid"
# FHIR R4 Identifier.system of a value that is a URI itself.
URI = "urn:ietf:rfc3986"

# What each stated type may turn out to be. SCP-ECG has no registered type.
MEDIA_TYPES: Mapping[str, frozenset[str]] = {
    "application/dicom": frozenset({DICOM}),
    "application/xml": XML_FORMATS,
    "text/xml": XML_FORMATS,
    "application/octet-stream": FORMATS,
    "": FORMATS,
}

# DICOM PS3.3 10.17, HL7v2 Hierarchic Designator: Universal Entity ID Type -> how such an id reads as a URI.
_UNIVERSAL: Mapping[str, str] = {"ISO": "urn:oid:", "UUID": "urn:uuid:", "URI": ""}

_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NULLS = frozenset({"", "?", "UNK", "NA", "N/A"})  # what aECG files hold where there is no id

# What pydicom raises when a value is looked at that breaks the rules of its type.
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, OSError, struct.error)

_DICOM_ELEMENTS = (
    "SpecificCharacterSet",
    "SOPInstanceUID",
    "PatientID",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "AccessionNumber",
    "IssuerOfAccessionNumberSequence",
    "PlacerOrderNumberImagingServiceRequest",
    "OrderPlacerIdentifierSequence",
    "FillerOrderNumberImagingServiceRequest",
    "OrderFillerIdentifierSequence",
    "RequestAttributesSequence",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """Whom, what order and what ECG a file names. identifiers: of the ECG itself, empty unless unique in the world.
    patient: an issuer that is no URI has no system; its name is `patient_issuer`, empty where none is stated."""

    identifiers: tuple[Identifier, ...] = ()
    patient: tuple[Identifier, ...] = ()
    patient_issuer: str = ""
    accession_number: Identifier | None = None
    placer_order_number: Identifier | None = None
    filler_order_number: Identifier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEcg:
    """An ECG file, read. kind: of `inference.formats.exchange.FORMATS`. device: manufacturer, model and serial number
    of the cart in words, None where none is stated."""

    recording: Recording
    kind: str
    stated: Stated
    device: str | None


def decode_file(content: bytes, content_type: str | None, *, zone: tzinfo) -> FileEcg:
    """Read a file of any kind in `FORMATS`. zone: for times that state none.

    Raises UnsupportedMediaType for a stated type that is no ECG file or that the content contradicts, and what
    `exchange.read_content` raises.
    """
    expected = _expected(content_type)
    file = read_content(content, zone=zone)
    if file.kind not in expected:
        raise UnsupportedMediaType(f"stated is {content_type!r}, but the content is {file.kind}")
    stated = _STATEMENTS.get(file.kind, _patient_only)(content, file)
    return FileEcg(recording=file.recording, kind=file.kind, stated=stated, device=_device(file))


def _expected(content_type: str | None) -> frozenset[str]:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type.endswith("+xml"):  # RFC 7303: the suffix says that it is XML
        return XML_FORMATS
    expected = MEDIA_TYPES.get(media_type)
    if expected is None:
        raise UnsupportedMediaType(
            f"{media_type[:64]!r} is no ECG file; known are {', '.join(filter(None, MEDIA_TYPES))}"
        )
    return expected


def _device(file: ExchangeFile) -> str | None:
    serial = [f"serial number {file.serial_number}"] if file.serial_number else []
    return ", ".join([*filter(None, (file.manufacturer, file.model)), *serial]) or None


def _patient_only(_: bytes, file: ExchangeFile) -> Stated:
    return Stated(patient=(Identifier(file.patient_id),) if file.patient_id else ())


def _aecg(content: bytes, file: ExchangeFile) -> Stated:
    """`id` of the document and of the trial subject (PORT_MT020001): an instance identifier of root and extension."""
    # As the recording was read: encodings mended, namespaces removed, entities refused.
    from ecgdatakit.parsing.helpers.xml import parse_xml_root

    try:
        root = parse_xml_root(content)
    except ParseError as error:
        raise Malformed(f"no well-formed XML: {error}") from error
    document = _instance(root.find("id"))
    subject = root.find("componentOf/timepointEvent/componentOf/subjectAssignment/subject/trialSubject/id")
    patient = _instance(subject) if subject is not None and subject.get("extension", "") not in _NULLS else None
    return Stated(
        identifiers=(document,) if document and document.system else (),
        patient=(patient,) if patient else (),
    )


def _instance(id: Element | None) -> Identifier | None:
    """HL7 v3 II -> Identifier: the extension in the system of the root, or the root alone."""
    if id is None:
        return None
    system, extension = _urn(id.get("root", "")), id.get("extension", "").strip()
    if extension not in _NULLS:
        return Identifier(extension, system)
    return Identifier(system, URI) if system else None


def _urn(text: str) -> str | None:
    text = text.strip().lower()
    if _UUID.fullmatch(text):
        return f"urn:uuid:{text}"
    return f"urn:oid:{text}" if _OID.fullmatch(text) else None


def _dicom(content: bytes, file: ExchangeFile) -> Stated:
    """The modules Patient, General Study and Request Attributes (PS3.3 C.7.1.1, C.7.2.1, 10.6)."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on values that break a rule; they were remarked when the recording was read
        try:
            dataset = pydicom.dcmread(BytesIO(content), specific_tags=list(_DICOM_ELEMENTS))
            return _of_dataset(dataset)
        except _UNREADABLE as error:
            raise Malformed(f"an identifier in the DICOM file is not readable ({error})") from error


def _of_dataset(dataset: "Dataset") -> Stated:
    requests = [dataset, *(dataset.get("RequestAttributesSequence") or ())]
    uid = _text(dataset, "SOPInstanceUID")

    def number(element: str, issuer: str) -> Identifier | None:
        found = (Identifier(value, _issuer(item, issuer)) for item in requests if (value := _text(item, element)))
        return next(found, None)

    return Stated(
        identifiers=(Identifier(f"urn:oid:{uid}", DICOM_UID),) if _OID.fullmatch(uid) else (),
        patient=tuple(dict.fromkeys(_patients(dataset))),
        patient_issuer=_text(dataset, "IssuerOfPatientID"),
        accession_number=number("AccessionNumber", "IssuerOfAccessionNumberSequence"),
        placer_order_number=number("PlacerOrderNumberImagingServiceRequest", "OrderPlacerIdentifierSequence"),
        filler_order_number=number("FillerOrderNumberImagingServiceRequest", "OrderFillerIdentifierSequence"),
    )


def _patients(dataset: "Dataset") -> Iterator[Identifier]:
    for item in (dataset, *(dataset.get("OtherPatientIDsSequence") or ())):
        if value := _text(item, "PatientID"):
            yield Identifier(value, _issuer(item, "IssuerOfPatientIDQualifiersSequence"))


def _issuer(item: "Dataset", sequence: str) -> str | None:
    """The universal id of an issuer as a URI; None where it has a local name only, which is no identity."""
    for issuer in item.get(sequence) or ():
        universal, prefix = _text(issuer, "UniversalEntityID"), _UNIVERSAL.get(_text(issuer, "UniversalEntityIDType"))
        if universal and prefix is not None and (prefix or ":" in universal):
            return prefix + universal
    return None


def _text(item: "Dataset", element: str) -> str:
    """One value; several where one is allowed name nothing."""
    value = item.get(element)
    return value.strip() if isinstance(value, str) else ""


_STATEMENTS: Mapping[str, Callable[[bytes, ExchangeFile], Stated]] = {DICOM: _dicom, AECG: _aecg}
