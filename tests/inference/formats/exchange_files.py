"""Writers of the exchange formats for tests: a recording in, a minimal valid file out, by the published layouts.

DICOM is written by pydicom. The others are put together here, field by field, so that nothing which reads them has
written them. Every writer takes counts of 16 bits, shape (leads, samples), and a resolution in microvolts.
"""

import base64
import binascii
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.uid import UID, ExplicitVRLittleEndian, TwelveLeadECGWaveformStorage

from inference.recording import LEADS
from tests.inference.formats.xli import xli

Counts = NDArray[np.int16]
RECORDED = datetime(2026, 3, 2, 9, 15, 30)  # noqa: DTZ001 - these formats state no zone
INSTANCE = UID("2.25.313131331234567890")  # always the same, so that a damaged file can be damaged again
MICROVOLTS = 2.5
RATE = 500

# DICOM CID 3001 and SCP-ECG section 3 number the leads alike.
LEAD_NUMBERS = dict(zip(LEADS, (1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8), strict=True))


def dicom(
    counts: Counts,
    leads: Sequence[str] = LEADS,
    *,
    unit: str | None = "uV",
    sop_class: str = TwelveLeadECGWaveformStorage,
    padding: int | None = None,
    **attributes: object,
) -> bytes:
    """12-Lead ECG Waveform Storage with one multiplex group (PS3.3 C.10.9). unit None: no sensitivity at all."""
    file = FileDataset("ecg.dcm", {}, file_meta=FileMetaDataset(), preamble=b"\0" * 128)
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = UID(sop_class)
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = INSTANCE
    file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file.Modality, file.PatientID, file.PatientName = "ECG", "4711", "Doe^Jane"
    file.PatientSex, file.PatientAge = "F", "063Y"
    file.AcquisitionDateTime = RECORDED.strftime("%Y%m%d%H%M%S")
    file.WaveformSequence = [_multiplex_group(counts, leads, unit, padding)]
    for name, value in attributes.items():
        setattr(file, name, value)
    content = DicomBytesIO()
    file.save_as(content, enforce_file_format=True)
    return bytes(content.getvalue())


def _multiplex_group(counts: Counts, leads: Sequence[str], unit: str | None, padding: int | None) -> Dataset:
    group = Dataset()
    group.MultiplexGroupLabel, group.WaveformOriginality = "RHYTHM", "ORIGINAL"
    group.NumberOfWaveformChannels, group.NumberOfWaveformSamples = counts.shape
    group.SamplingFrequency = RATE
    group.ChannelDefinitionSequence = [_channel(lead, unit) for lead in leads]
    group.WaveformBitsAllocated, group.WaveformSampleInterpretation = 16, "SS"
    if padding is not None:
        group.add_new("WaveformPaddingValue", "OW", struct.pack("<h", padding))
    group.add_new("WaveformData", "OW", counts.T.astype("<i2").tobytes())
    return group


def _channel(lead: str, unit: str | None) -> Dataset:
    channel = Dataset()
    channel.ChannelSourceSequence = [_code(f"2:{LEAD_NUMBERS[lead]}", "MDC", f"Lead {lead}")]
    channel.WaveformBitsStored, channel.ChannelSampleSkew = 16, "0"
    if unit is not None:
        channel.ChannelSensitivity = str(MICROVOLTS)
        channel.ChannelSensitivityUnitsSequence = [_code(unit, "UCUM", unit)]
        channel.ChannelSensitivityCorrectionFactor, channel.ChannelBaseline = "1", "0"
    return channel


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code


def scp(
    counts: Counts,
    leads: Sequence[str] = LEADS,
    *,
    nanovolts: int = 2500,
    first_samples: Mapping[str, int] | None = None,
    zone_minutes: int | None = None,
    huffman: bool = False,
) -> bytes:
    """SCP-ECG 1.3 (EN 1064): pointers, patient, lead definition, rhythm data.

    huffman: second differences in the default code of the standard, as carts write them, else plain samples.
    first_samples: where a lead begins, 1 unless told. zone_minutes: offset from UTC, tag 34.
    """
    samples = counts.shape[1]
    starts = {lead: (first_samples or {}).get(lead, 1) for lead in leads}
    definition = struct.pack("<BB", len(leads), 4 | len(leads) << 3) + b"".join(
        struct.pack("<IIB", starts[lead], starts[lead] + samples - 1, LEAD_NUMBERS[lead]) for lead in leads
    )
    encoded = [_huffman(row) if huffman else row.astype("<i2").tobytes() for row in counts]
    rhythm = struct.pack("<HHBB", nanovolts, 1_000_000 // RATE, 2 if huffman else 0, 0)
    rhythm += struct.pack(f"<{len(leads)}H", *map(len, encoded)) + b"".join(encoded)
    tables = {2: struct.pack("<H", 19999)} if huffman else {}  # 19999: the default table
    return _scp_record({1: _scp_patient(zone_minutes), **tables, 3: definition, 6: rhythm})


def _huffman(row: Counts) -> bytes:
    values = row.astype(np.int64)
    differences = [*values[:2].tolist(), *np.diff(values, 2).tolist()]
    bits = "".join(map(_huffman_code, differences))
    bits += "0" * (-len(bits) % 16)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _huffman_code(value: int) -> str:
    """EN 1064 table C.1: one bit for 0, then shorter codes for smaller steps, else 8 or 16 bits of the value itself."""
    if value == 0:
        return "0"
    if abs(value) <= 8:
        return "1" * abs(value) + "0" + ("1" if value < 0 else "0")
    if -128 <= value <= 127:
        return "1111111110" + f"{value & 0xFF:08b}"
    return "1111111111" + f"{value & 0xFFFF:016b}"


def _scp_patient(zone_minutes: int | None) -> bytes:
    tags = {
        0: b"Doe\0",
        2: b"4711\0",
        4: struct.pack("<HB", 63, 1),  # age, 1 = years
        8: b"\x02",  # sex: 2 = female
        25: struct.pack("<HBB", RECORDED.year, RECORDED.month, RECORDED.day),
        26: struct.pack("<BBB", RECORDED.hour, RECORDED.minute, RECORDED.second),
    }
    if zone_minutes is not None:
        tags[34] = struct.pack("<hH", zone_minutes, 0)
    fields = b"".join(struct.pack("<BH", tag, len(value)) + value for tag, value in tags.items())
    return fields + b"\xff\0\0"


def _scp_record(bodies: Mapping[int, bytes]) -> bytes:
    """Sections with their headers and CRCs, after section 0, which points to them all."""
    sections = {number: _scp_section(number, body) for number, body in bodies.items()}
    pointers_length = 16 + 10 * 12
    pointers, index = [(0, pointers_length, 7)], 7 + pointers_length
    for number in range(1, 12):
        length = len(sections.get(number, b""))
        pointers.append((number, length, index if length else 0))
        index += length
    first = _scp_section(0, b"".join(struct.pack("<HII", *pointer) for pointer in pointers), reserved=b"SCPECG")
    content = first + b"".join(sections.values())
    content = struct.pack("<I", len(content) + 6) + content
    return struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content


def _scp_section(number: int, body: bytes, reserved: bytes = b"\0" * 6) -> bytes:
    body += b"\0" * (len(body) % 2)
    content = struct.pack("<HIBB", number, len(body) + 16, 13, 13) + reserved + body
    return struct.pack("<H", binascii.crc_hqx(content, 0xFFFF)) + content


def aecg(
    counts: Counts,
    leads: Sequence[str] = LEADS,
    *,
    unit: str = "uV",
    increment: str = '"0.002" unit="s"',
    zone: str = "",
) -> bytes:
    """HL7 aECG with one rhythm series (PORT_MT020001), after the FDA's minimal example. zone: such as +0100."""
    recorded = RECORDED.strftime("%Y%m%d%H%M%S") + zone
    sequences = "".join(
        f'<component><sequence><code code="MDC_ECG_LEAD_{lead.upper()}" codeSystem="2.16.840.1.113883.6.24"/>'
        f'<value xsi:type="SLIST_PQ"><origin value="0" unit="{unit}"/><scale value="{MICROVOLTS}" unit="{unit}"/>'
        f"<digits>{' '.join(map(str, row))}</digits></value></sequence></component>"
        for lead, row in zip(leads, counts.tolist(), strict=True)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<AnnotatedECG xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" type="Observation">
<id root="61d1a24f-b47e-41aa-ae95-f8ac302f4eeb"/><code code="93000" codeSystem="2.16.840.1.113883.6.12"/>
<effectiveTime><low value="{recorded}"/></effectiveTime>
<componentOf><timepointEvent><componentOf><subjectAssignment><subject><trialSubject><id extension="4711"/>
<subjectDemographicPerson><administrativeGenderCode code="F"/><birthTime value="19620601"/></subjectDemographicPerson>
</trialSubject></subject></subjectAssignment></componentOf></timepointEvent></componentOf>
<component><series><code code="RHYTHM" codeSystem="2.16.840.1.113883.5.4"/>
<effectiveTime><low value="{recorded}"/></effectiveTime><component><sequenceSet>
<component><sequence><code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/>
<value xsi:type="GLIST_TS"><head value="{recorded}"/><increment value={increment}/></value></sequence></component>
{sequences}</sequenceSet></component></series></component></AnnotatedECG>""".encode()


def muse_xml(
    counts: Counts,
    leads: Sequence[str] = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"),
    *,
    unit: str = "MICROVOLTS",
    checksum: int | None = None,
    time_offsets: Mapping[str, int] | None = None,
) -> bytes:
    """GE MUSE RestingECG (restecg.dtd) with a rhythm waveform of the eight stored leads; counts has all twelve."""
    blocks = "".join(
        _muse_lead(lead, counts[LEADS.index(lead)], unit, checksum, (time_offsets or {}).get(lead, 0)) for lead in leads
    )
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<!DOCTYPE RestingECG SYSTEM "restecg.dtd">
<RestingECG><MuseInfo><MuseVersion>9.0.9</MuseVersion></MuseInfo>
<PatientDemographics><PatientID>4711</PatientID><PatientAge>63</PatientAge><AgeUnits>YEARS</AgeUnits>
<Gender>FEMALE</Gender></PatientDemographics>
<TestDemographics><DataType>RESTING</DataType><AcquisitionTime>{RECORDED:%H:%M:%S}</AcquisitionTime>
<AcquisitionDate>{RECORDED:%m-%d-%Y}</AcquisitionDate></TestDemographics>
<Waveform><WaveformType>Rhythm</WaveformType><NumberofLeads>{len(leads)}</NumberofLeads>
<SampleType>CONTINUOUS_SAMPLES</SampleType><SampleBase>{RATE}</SampleBase><SampleExponent>0</SampleExponent>
{blocks}</Waveform></RestingECG>""".encode("latin-1")


def _muse_lead(lead: str, row: Counts, unit: str, checksum: int | None, time_offset: int) -> str:
    payload = row.astype("<i2").tobytes()
    return (
        f"<LeadData><LeadByteCountTotal>{len(payload)}</LeadByteCountTotal><LeadTimeOffset>{time_offset}</LeadTimeOffset>"
        f"<LeadSampleCountTotal>{len(row)}</LeadSampleCountTotal>"
        f"<LeadAmplitudeUnitsPerBit>{MICROVOLTS}</LeadAmplitudeUnitsPerBit><LeadAmplitudeUnits>{unit}</LeadAmplitudeUnits>"
        f"<LeadID>{lead}</LeadID><LeadSampleSize>2</LeadSampleSize>"
        f"<LeadDataCRC32>{zlib.crc32(payload) if checksum is None else checksum}</LeadDataCRC32>"
        f"<WaveFormData>{base64.b64encode(payload).decode()}</WaveFormData></LeadData>"
    )


def philips_xml(
    counts: Counts,
    leads: Sequence[str] = LEADS,
    *,
    resolution: str = str(MICROVOLTS),
    pacemaker: str = "Unknown",
    compression: str = "XLI",
) -> bytes:
    """Philips Sierra ECG 1.04, its samples one lead after the other, compressed (`XLI`) or not (`Uncompressed`)."""
    milliseconds = counts.shape[1] * 1000 // RATE
    samples = xli(counts) if compression == "XLI" else counts.astype("<i2").tobytes()
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<restingecgdata xmlns="http://www3.medical.philips.com">
<documentinfo><documenttype>PhilipsECG</documenttype><documentversion>1.04</documentversion></documentinfo>
<dataacquisition date="{RECORDED:%Y-%m-%d}" time="{RECORDED:%H:%M:%S}"><machine>PageWriter</machine>
<signalcharacteristics><samplingrate>{RATE}</samplingrate><resolution>{resolution}</resolution>
<signaloffset>0</signaloffset><signalsigned>True</signalsigned><bitspersample>16</bitspersample>
<numberchannelsallocated>{len(leads)}</numberchannelsallocated></signalcharacteristics></dataacquisition>
<patient><generalpatientdata><patientid>4711</patientid><age><years>63</years></age><sex>Female</sex>
<pacestatus>{pacemaker}</pacestatus></generalpatientdata></patient>
<waveforms><parsedwaveforms dataencoding="Base64" compression="{compression}" numberofleads="{len(leads)}"
durationperchannel="{milliseconds}" samplespersecond="{RATE}" leadlabels="{" ".join(leads)}">
{base64.b64encode(samples).decode()}</parsedwaveforms></waveforms></restingecgdata>""".encode()


WRITERS: Mapping[str, tuple[str, Callable[[Counts], bytes]]] = {
    "DICOM": ("ecg.dcm", dicom),
    "SCP-ECG": ("ecg.scp", scp),
    "aECG": ("aecg.xml", aecg),
    "MUSE": ("muse.xml", muse_xml),
    "Philips": ("philips.xml", philips_xml),
}
