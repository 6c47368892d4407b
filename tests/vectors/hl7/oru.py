"""HL7 v2 ORU messages as devices and gateways send them, shortened to a few samples a lead, field by field.

They are built from segments so that a test can replace one; `message` joins them as they travel, each ended by CR.
"""

from inference.lead_codes import mdc_code
from inference.recording import INDEPENDENT_LEADS


def message(*segments: bytes) -> bytes:
    return b"".join(segment + b"\r" for segment in segments)


MSH = b"|".join(
    [
        b"MSH",  # its separator is MSH-1
        b"^~\\&",  # MSH-2 component, repetition, escape, subcomponent
        b"CARDIO^1.2.840.1^ISO",  # MSH-3 sending application: namespace, universal id, its type
        b"GENERAL",  # MSH-4 sending facility
        b"ECG-ACTIONS",  # MSH-5 receiving application
        b"AI",  # MSH-6 receiving facility
        b"20260302093000+0100",  # MSH-7 date/time of message, with offset
        b"",  # MSH-8 security
        b"ORU^R01^ORU_R01",  # MSH-9 type, event, structure
        b"M-0001",  # MSH-10 control id
        b"P",  # MSH-11 processing id: production
        b"2.5.1",  # MSH-12 version
        b"",  # MSH-13 sequence number
        b"",  # MSH-14 continuation pointer
        b"",  # MSH-15 accept acknowledgement type
        b"",  # MSH-16 application acknowledgement type: both empty, original mode
        b"",  # MSH-17 country
        b"UNICODE UTF-8",  # MSH-18 character set
    ]
)

PID = b"|".join(
    [
        b"PID",
        b"1",  # PID-1 set id
        b"",  # PID-2
        # PID-3: an account number first, which is no person's; then the medical record number with its authority
        b"A77^^^GENERAL^AN~4711^^^GENERAL&2.16.840.1.113883.3.9&ISO^MR",
        b"",  # PID-4
        "Müller^Zoë".encode(),  # PID-5 name
        b"",  # PID-6
        b"19520301",  # PID-7 date of birth
        b"F",  # PID-8 administrative sex
    ]
)

PV1 = b"PV1|1|I" + b"|" * 17 + b"V-99^^^GENERAL"  # PV1-2 inpatient, PV1-19 visit number

OBR = b"|".join(
    [
        b"OBR",
        b"1",  # OBR-1 set id
        b"PL-5^EHR",  # OBR-2 placer order number
        b"FI-7^CARDIO",  # OBR-3 filler order number
        b"11524-6^EKG study^LN",  # OBR-4 service
        b"",  # OBR-5
        b"",  # OBR-6
        b"20260302092500.000",  # OBR-7 observation time, without offset
    ]
)

# One lead as in the published example: values in mV, its facets tied by OBX-4 with `.n` behind the lead's own.
LEAD_I_IN_MILLIVOLT = (
    b"OBX|1|NA|131329^MDC_ECG_LEAD_I^MDC|1.1.1.1001|-0.537^-0.542^0.25|266418^MDC_DIM_MILLI_VOLT^MDC"
    b"|||||F|||20260302092501.000",
    b"OBX|2|NM|0^MDC_ATTR_SAMP_RATE^MDC|1.1.1.1001.1|500|264608^MDC_DIM_PER_SEC^MDC|||||F",
    b"OBX|3|NR|0^MDC_ATTR_DATA_RANGE^MDC|1.1.1.1001.2|-5.0^10.0|266418^MDC_DIM_MILLI_VOLT^MDC|||||F",
    b"OBX|4|NM|2327^MDC_ATTR_NU_MSMT_RES^MDC|1.1.1.1001.3|0.001|266418^MDC_DIM_MILLI_VOLT^MDC|||||F",
)

# One lead as a monitoring gateway sends it: counts without a unit, the resolution in mV, and the mark of an invalid
# sample as the value of MDC_EVT_INOP. No OBX-11 at all.
LEAD_I_IN_COUNTS = (
    b"OBX|1|NA|131329^MDC_ECG_ELEC_POTL_I^MDC|1.7.6.131329|80^-100^32767",
    b"OBX|2|NM|0^MDC_ATTR_SAMP_RATE^MDC|1.7.6.131329.1|500|264640^MDC_DIM_HZ^MDC",
    b"OBX|3|NM|68320^MDC_ATTR_NU_MSMT_RES^MDC|1.7.6.131329.2|0.005|266418^MDC_DIM_MILLI_VOLT^MDC",
    b"OBX|4|NM|262196^MDC_EVT_INOP^MDC|1.7.6.131329.3|32767",
)

MILLIVOLT = b"266418^MDC_DIM_MILLI_VOLT^MDC"
RATE = b"OBX|90|NM|0^MDC_ATTR_SAMP_RATE^MDC|1.1.1.0.1|500|264608^MDC_DIM_PER_SEC^MDC|||||F"


def lead(name: str, values: bytes = b"0.1^0.2^0.3", *, unit: bytes = MILLIVOLT, status: bytes = b"F") -> bytes:
    """One NA observation; its OBX-4 is 1.1.1.<MDC code>."""
    code = mdc_code(name).encode()
    identifier = code + b"^MDC_ECG_ELEC_POTL_" + name.upper().encode() + b"^MDC"
    return b"|".join([b"OBX", b"1", b"NA", identifier, b"1.1.1." + code, values, unit, b"", b"", b"", b"", status])


# The eight independent leads, and one sampling rate for all of them at the level of the OBR.
EIGHT_LEADS = tuple(lead(name) for name in INDEPENDENT_LEADS)
ECG = message(MSH, PID, PV1, OBR, *EIGHT_LEADS, RATE)

# An ordinary laboratory result: no ECG in it.
POTASSIUM = message(MSH, PID, b"OBR|1|||2823-3^Potassium^LN", b"OBX|1|NM|2823-3^Potassium^LN||4.1|mmol/L|||||F")

ADT = message(MSH.replace(b"ORU^R01^ORU_R01", b"ADT^A08^ADT_A01"), b"EVN|A08|20260302093000", PID)
