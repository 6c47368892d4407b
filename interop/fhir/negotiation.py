"""What a client sends, wants back and prefers: media types and Prefer (FHIR R4 http.html, RFC 7240)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from inference.errors import NotAcceptable, UnsupportedMediaType
from interop.media import media_type, ranges

FHIR_JSON = "application/fhir+json"
PLAIN_JSON = "application/json"
TAKEN = (FHIR_JSON, PLAIN_JSON)
FHIR_VERSIONS = ("4.0", "4.0.1")

# Media ranges of Accept, and short names of `_format`, with the type that answers each.
OFFERED: Mapping[str, str] = {
    FHIR_JSON: FHIR_JSON,
    PLAIN_JSON: PLAIN_JSON,
    "text/json": PLAIN_JSON,
    "application/*": FHIR_JSON,
    "*/*": FHIR_JSON,
    "json": FHIR_JSON,
}


class Return(StrEnum):
    """What a create answers with, by `Prefer: return=`."""

    MINIMAL = "minimal"
    REPRESENTATION = "representation"
    OPERATION_OUTCOME = "OperationOutcome"


@dataclass(frozen=True, slots=True)
class Preferences:
    """The Prefer header. stated: what is to be returned, None where that is left to us. strict: unknown search
    parameters are an error instead of a warning. asynchronous: the answer may come later."""

    stated: Return | None = None
    strict: bool = False
    asynchronous: bool = False

    @property
    def returned(self) -> Return:
        """What a change of one resource answers with."""
        return self.stated or Return.REPRESENTATION


def check_content_type(header: str | None) -> None:
    """Raises UnsupportedMediaType unless the body is FHIR JSON of R4 in UTF-8. A missing header is refused, because
    without one a browser could be made to post here across origins."""
    sent, parameters = media_type(header or "")
    charset = parameters.get("charset", "utf-8").lower()
    version = parameters.get("fhirversion", FHIR_VERSIONS[0])
    if sent not in TAKEN or charset not in ("utf-8", "us-ascii") or version not in FHIR_VERSIONS:
        raise UnsupportedMediaType(f"Content-Type {header or '(none)'} is not taken; send {FHIR_JSON}")


def answer_type(accept: str | None, format_parameter: str | None) -> str:
    """The media type to answer in. `_format` overrides Accept. Raises NotAcceptable."""
    if format_parameter:
        # An unescaped plus sign in a query string reads as a space.
        found = _offered(format_parameter.replace("fhir json", "fhir+json"))
        if found is None:
            raise NotAcceptable(f"_format {format_parameter} is not offered; {FHIR_JSON} is", element="_format")
        return found
    wanted = next((found for text in ranges(accept) if (found := _offered(text))), None)
    if wanted is None:
        raise NotAcceptable(f"Accept {accept} asks for nothing that is offered; {FHIR_JSON} is")
    return wanted


def preferences(header: str | None) -> Preferences:
    """The Prefer header. What we do not know is ignored, as RFC 7240 section 2 says."""
    tokens = [part.strip().partition("=") for part in (header or "").replace(";", ",").split(",")]
    values = {name.strip().lower(): value.strip().strip('"') for name, _, value in tokens}
    stated = next((r for r in Return if r.lower() == values.get("return", "").lower()), None)
    strict = values.get("handling", "").lower() == "strict"
    return Preferences(stated, strict=strict, asynchronous="respond-async" in values)


def _offered(text: str) -> str | None:
    wanted, parameters = media_type(text)
    return OFFERED.get(wanted) if parameters.get("fhirversion", FHIR_VERSIONS[0]) in FHIR_VERSIONS else None
