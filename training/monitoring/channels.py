"""Where notices go: `ECG_SMTP_URL`, `ECG_SLACK_WEBHOOK`, and whatever else apprise can reach by the JSON file
`ECG_ALERT_CHANNELS`, read once at start.

    [{"name": "on-call", "url": "pagerduty://KEY@APIKEY", "severity": "critical"}]

severity: milder alerts are not told there. E-mail hears of `warning` and `critical`, Slack of everything; who wants
that otherwise writes them into the file.

Addresses hold secrets. They are in no repr, and only the name of a channel is stored, logged and counted.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError

from inference.errors import ConfigurationError

SMTP_URL, SLACK_WEBHOOK, ALERT_CHANNELS = "ECG_SMTP_URL", "ECG_SLACK_WEBHOOK", "ECG_ALERT_CHANNELS"
EMAIL, SLACK = "email", "slack"
SENDER_NAME = "ECG monitoring"
SMTP = ("smtp", "smtps")
SMTP_FORM = "smtp[s]://[user:password@]host[:port]/?from=ADDRESS&to=ADDRESS[,ADDRESS...][&tls=no]"
SLACK_FORM = "https://hooks.slack.com/services/.../.../..."
_SLACK = re.compile(r"https://hooks\.slack(-gov)?\.com/(services|workflows|triggers)/\S+")
_ADDRESS = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+")
SHORTEST_SECRET = 4  # of an address whose parts may be secrets; shorter ones are words of the scheme

Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One place that notices go to. least: milder alerts are not told there. service: what apprise is given. secrets:
    what must not be seen of it."""

    name: str
    least: Severity
    service: str | Mapping[str, object] = field(repr=False, compare=False)
    secrets: frozenset[str] = field(default=frozenset(), repr=False, compare=False)

    @property
    def is_mail(self) -> bool:
        """Whether it is e-mail, where an @ calls nobody."""
        schema = self.service.partition(":")[0] if isinstance(self.service, str) else str(self.service["schema"])
        return schema.startswith("mailto")


class ChannelEntry(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    url: Annotated[str, Field(min_length=1, repr=False)]
    severity: Severity = "info"


_FILE: TypeAdapter[list[ChannelEntry]] = TypeAdapter(list[ChannelEntry])


def load_channels(
    smtp_url: SecretStr | None = None, slack_webhook: SecretStr | None = None, file: Path | None = None
) -> tuple[Channel, ...]:
    """By these settings. Raises ConfigurationError naming the setting and what is wrong, without the address."""
    found: list[Channel] = []
    if smtp_url is not None:
        url = smtp_url.get_secret_value()
        if not _is_smtp(url):
            raise ConfigurationError(f"{SMTP_URL}: is not {SMTP_FORM}")
        found += _channels(SMTP_URL, EMAIL, "warning", url)
    if slack_webhook is not None:
        url = slack_webhook.get_secret_value()
        if not _SLACK.fullmatch(url):
            raise ConfigurationError(f"{SLACK_WEBHOOK}: is not {SLACK_FORM}")
        found += _channels(SLACK_WEBHOOK, SLACK, "info", url)
    for entry in _entries(file) if file else ():
        found += _channels(f"{ALERT_CHANNELS}={file}: {entry.name}", entry.name, entry.severity, entry.url)
    names = [channel.name for channel in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(f"{ALERT_CHANNELS}: {name} is there twice")
    return tuple(found)


def _entries(file: Path) -> Sequence[ChannelEntry]:
    try:
        return _FILE.validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{ALERT_CHANNELS}={file}: {error.strerror}") from error
    except ValidationError as error:
        problems = "; ".join(
            f"{' / '.join(str(part) for part in problem['loc']) or 'file'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)
        )
        raise ConfigurationError(f"{ALERT_CHANNELS}={file}: {problems}") from None  # it quotes addresses


def _channels(where: str, name: str, least: Severity, url: str) -> Iterator[Channel]:
    if not _is_smtp(url):
        yield Channel(name=name, least=least, service=url, secrets=_parts(url))
        return
    services = _mail(where, url)
    for number, service in enumerate(services, 1):
        own = name if len(services) == 1 else f"{name}-{number}"
        password = str(service["password"] or "")
        yield Channel(name=own, least=least, service=service, secrets=frozenset({password, unquote(password)}) - {""})


def _is_smtp(url: str) -> bool:
    return url.partition("://")[0] in SMTP


def _mail(where: str, url: str) -> list[Mapping[str, object]]:
    """One service for each address: of several in one, those that took the mail would get it again with every new
    attempt at one that refuses it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"{where}: is not {SMTP_FORM}") from None  # it quotes the address
    # No `+` for a blank, as forms have it: addresses have their own use for it.
    given = {name: unquote(value) for name, _, value in (pair.partition("=") for pair in parts.query.split("&"))}
    recipients = [address.strip() for address in given.get("to", "").split(",")]
    for name, addresses in (("from", [given.get("from", "")]), ("to", recipients)):
        if not all(_ADDRESS.fullmatch(address) for address in addresses):
            raise ConfigurationError(f"{where}: {name}= needs an e-mail address; the form is {SMTP_FORM}")
    plain = parts.scheme == "smtp" and given.get("tls") == "no"
    if not host or parts.path not in ("", "/") or set(given) != {"from", "to"} | ({"tls"} if plain else set()):
        raise ConfigurationError(f"{where}: is not {SMTP_FORM}")
    if plain and parts.password:
        raise ConfigurationError(f"{where}: a password is not sent without TLS")
    mode = "insecure" if plain else {"smtp": "starttls", "smtps": "ssl"}[parts.scheme]
    service = {
        "schema": "mailto" if plain else "mailtos", "secure_mode": mode, "host": host, "smtp_host": host, "port": port,
        "user": parts.username, "password": parts.password, "format": "text",
        "from_addr": f"{SENDER_NAME} <{given['from']}>",
    }  # fmt: skip
    return [service | {"targets": [address]} for address in recipients]


def _parts(url: str) -> frozenset[str]:
    """Whatever in an address may be a secret: services put theirs into user, host, path and query. A host with a dot in
    it is none."""
    parts = re.split(r"[/?&=#@:,;]+", url.partition("://")[2])
    host = {part for part in parts if "." in part and re.fullmatch(r"[\w.-]+", part)}
    return frozenset(
        form for part in set(parts) - host for form in (part, unquote(part)) if len(form) >= SHORTEST_SECRET
    )
