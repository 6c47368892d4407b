"""The first ECG pays for imports and memory, more than a second of it in FHIR validation. At start nobody waits for an
answer, so a made-up ECG is decoded and analysed before the service says that it is ready."""

from datetime import datetime

import numpy as np

from actions.analysis import Door, RequestContext
from actions.analyze import Analyze
from inference.errors import ModelUnavailable
from inference.recording import INDEPENDENT_LEADS, Recording, assemble
from interop.resources.ecg_document import render_ecg
from interop.resources.observation import parse, to_recording

RATE, SECONDS = 500, 10


def warm_up(analyzer: Analyze, at: datetime) -> None:
    """Analyse, render and decode once. Raises ModelUnavailable when the engine does not work."""
    recording = _heartbeat()
    context = RequestContext(door=Door.CLI, received_at=at, correlation_id="warm-up")
    if not analyzer(recording, context).interpretable:
        raise ModelUnavailable("the engine does not recognise a heartbeat")
    _, body = render_ecg(recording, id="warm-up", subject={"reference": "Patient/0"}, identifiers=(), issued=at)
    to_recording(parse(body.content))


def _heartbeat() -> Recording:
    """Narrow R waves and broad T waves, once a second, of another size in each lead."""
    t = np.arange(RATE * SECONDS) / RATE % 1.0
    beat = np.exp(-(((t - 0.4) / 0.012) ** 2)) + 0.25 * np.exp(-(((t - 0.65) / 0.05) ** 2))
    leads = {lead: beat * size for lead, size in zip(INDEPENDENT_LEADS, np.linspace(0.6, 1.3, 8), strict=True)}
    signal, _ = assemble(leads)
    return Recording(signal=signal, sampling_rate=RATE)
