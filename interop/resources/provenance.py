"""Who made the results from what, and by which rules (FHIR R4 Provenance)."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from actions.analysis import PolicyInfo
from inference.prepare import preprocessing_hash
from interop.resources.codes import OWN_PREPROCESSING_IDENTIFIERS, PARTICIPANT_TYPE, URIS, Json
from interop.resources.times import instant


def provenance(
    *, targets: Sequence[Json], at: datetime, model: Json | None, software: Json, source: Json, policy: PolicyInfo
) -> Json:
    """What distinguishes the Provenance of one analysis: its entities are the ECG, the model, the rules and the
    preprocessing. model, software, source: References; model is None when the signal could not be classified."""
    return {
        "target": list(targets),
        "recorded": instant(at),
        "policy": [policy_uri(policy)],
        "agent": [
            *([_agent("author", "Author", model)] if model else []),
            _agent("assembler", "Assembler", software),
        ],
        "entity": [
            {"role": "source", "what": source},
            *([_used(model)] if model else []),
            _used({"identifier": {"system": URIS, "value": policy_uri(policy)}, "display": f"Rules {policy.version}"}),
            _used(PREPROCESSING),
        ],
    }


PREPROCESSING: Json = {
    "identifier": {"system": OWN_PREPROCESSING_IDENTIFIERS, "value": preprocessing_hash()},
    "display": "Preprocessing of the signal",
}


def _used(what: Json) -> Json:
    """What the results were derived by, beside the ECG that they were derived from."""
    return {"role": "derivation", "what": what}


def policy_uri(policy: PolicyInfo) -> str:
    """Name, version and checksum of the rules as a URI."""
    parts = (policy.name, policy.version, policy.sha256)
    return ":".join(("urn:ecg-interop:rules", *(quote(part, safe="") for part in parts)))


def _agent(code: str, display: str, who: Json) -> Json:
    return {"type": {"coding": [{"system": PARTICIPANT_TYPE, "code": code, "display": display}]}, "who": who}
