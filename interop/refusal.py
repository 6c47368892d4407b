"""The error for a signal that nobody could interpret, at the doors that refuse it."""

import logging

from actions.analysis import Analysis
from inference.errors import UninterpretableSignal
from inference.quality import Severity

log = logging.getLogger(__name__)


def uninterpretable(analysis: Analysis, element: str) -> UninterpretableSignal:
    """The reasons in words; element: where the door has its signal. The findings are logged: nothing is stored."""
    refused = [finding for finding in analysis.quality.findings if finding.severity is Severity.REFUSED]
    codes = [finding.code for finding in refused]
    log.info("signal cannot be interpreted", extra={"door": analysis.door, "findings": codes})
    return UninterpretableSignal(" ".join(finding.text for finding in refused), element=element)
