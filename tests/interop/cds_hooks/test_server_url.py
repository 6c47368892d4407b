import string
from urllib.parse import urlsplit

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interop.cds_hooks.server_url import ServerUrl, read_or_search, with_query

LABELS = st.text(string.ascii_lowercase + string.digits + "-_", min_size=1, max_size=12)
HOSTS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
SEGMENTS = st.text(string.ascii_letters + string.digits + ".-_~:@!$&'()*+,;=%", max_size=8)
URLS = st.builds(
    lambda scheme, host, port, path: f"{scheme}://{host}{port}{''.join(f'/{segment}' for segment in path)}",
    st.sampled_from(["http", "https", "HTTPS"]),
    HOSTS | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(lambda address: f"[{address}]"),
    st.just("") | st.integers(0, 70_000).map(lambda port: f":{port}"),
    st.lists(SEGMENTS, max_size=4),
)
CONFUSING = st.text("htps:/\\@.#?%[]01x\r\n\t ee\u3002\uff0f\u2100", max_size=24).map(lambda rest: f"https://a{rest}")


def parsed(text: str) -> ServerUrl | None:
    try:
        return ServerUrl.parse(text)
    except ValueError:
        return None


@pytest.mark.parametrize(
    ("text", "url", "authority"),
    [
        ("https://ehr.example/fhir", ServerUrl("https", "ehr.example", 443, "/fhir"), "ehr.example"),
        ("https://EHR.Example:8443/Fhir/R4/", ServerUrl("https", "ehr.example", 8443, "/Fhir/R4/"), "ehr.example:8443"),
        ("http://10.1.2.3", ServerUrl("http", "10.1.2.3", 80, ""), "10.1.2.3"),
        ("http://localhost:8080/", ServerUrl("http", "localhost", 8080, "/"), "localhost:8080"),
        ("https://[2001:DB8:0::1]:9/x", ServerUrl("https", "2001:db8::1", 9, "/x"), "[2001:db8::1]:9"),
        ("https://fhir_server/~r4/a(b)", ServerUrl("https", "fhir_server", 443, "/~r4/a(b)"), "fhir_server"),
    ],
)
def test_a_plain_url_is_read(text: str, url: ServerUrl, authority: str) -> None:
    assert (ServerUrl.parse(text), url.authority) == (url, authority)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ehr.example/fhir",
        "//ehr.example/fhir",
        "ftp://ehr.example/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70/x",
        "https:/ehr.example",
        "https:\\\\ehr.example",
        "https://",
        "https:///fhir",
        "https://user@ehr.example/",
        "https://user:secret@ehr.example/",
        "https://ehr.example@169.254.169.254/",
        "https://ehr.example\\@169.254.169.254/",
        "https://ehr.example#@169.254.169.254/",
        "https://ehr.example?x=1",
        "https://ehr.example/fhir?",
        "https://ehr.example/fhir#top",
        "https://ehr.example/fhir/../admin",
        "https://ehr.example/fhir/.",
        "https://ehr.example/fhir//x",
        "https://ehr.example//",
        "https://ehr.example/%2e%2e/admin",
        "https://ehr.example/a%0d%0aHost:x",
        "https://ehr.example/a b",
        " https://ehr.example/",
        "https://ehr.example/\n",
        "https://ehr.example/\r\nHost: x",
        "https://ehr.exa\x00mple/",
        "https://ehr.example:/fhir",
        "https://ehr.example:0/fhir",
        "https://ehr.example:65536/fhir",
        "https://ehr.example:80:81/",
        "https://ehr.example./",
        "https://.example/",
        "https://ehr..example/",
        "https://-ehr.example/",
        "https://ehr\u3002example/",
        "https://\u24d4hr.example/",
        "https://ehr.example\uff0f@x/",
        f"https://{'a' * 64}.example/",
        f"https://ehr.example/{'a' * 2000}",
        "https://[::1/",
        "https://::1/",
        "https://[::1%25eth0]/",
        "https://[127.0.0.1]/",
        "https://[1::2::3]/",
        # 127.0.0.1, as some resolvers and browsers read it
        "https://2130706433/",
        "https://127.1/",
        "https://0x7f.0.0.1/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.0.0.01/",
        "https://256.0.0.1/",
        "https://1.2.3.4.5/",
        "https://ehr.0x/",
    ],
)
def test_what_another_parser_may_read_otherwise_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        ServerUrl.parse(text)


@given(URLS | CONFUSING)
def test_what_is_taken_every_parser_reads_as_we_do(text: str) -> None:
    url = parsed(text)
    if url is None:
        return
    split = urlsplit(text)
    assert (split.scheme, split.username, split.query, split.fragment) == (url.scheme, None, "", "")
    assert (split.port or url.port, split.path) == (url.port, url.path)
    ours = httpcore.URL(text)
    assert (ours.scheme.decode(), ours.host.decode().lower()) == (split.scheme, split.hostname)
    theirs = httpx.URL(text)
    assert (theirs.scheme, theirs.port or url.port, theirs.userinfo) == (url.scheme, url.port, b"")
    assert theirs.host == split.hostname
    assert ".." not in url.path.split("/")


@given(URLS)
def test_a_url_made_of_its_parts_is_read_as_the_same(text: str) -> None:
    url = parsed(text)
    if url is not None:
        assert ServerUrl.parse(f"{url.scheme}://{url.authority}{url.path}") == url


@given(st.text())
def test_any_text_is_either_read_or_refused(text: str) -> None:
    parsed(text)


@pytest.mark.parametrize(
    ("listed", "named", "covered"),
    [
        ("https://ehr.example/fhir", "https://ehr.example/fhir", True),
        ("https://ehr.example/fhir/", "https://EHR.example:443/fhir", True),
        ("https://ehr.example/fhir", "https://ehr.example/fhir/r4/", True),
        ("https://ehr.example", "https://ehr.example/fhir", True),
        ("https://ehr.example/fhir", "https://ehr.example/fhir2", False),
        ("https://ehr.example/fhir/r4", "https://ehr.example/fhir", False),
        ("https://ehr.example/fhir", "https://ehr.example/Fhir", False),
        ("https://ehr.example/fhir", "http://ehr.example/fhir", False),
        ("https://ehr.example/fhir", "https://ehr.example:8443/fhir", False),
        ("https://ehr.example/fhir", "https://ehr.example.evil.example/fhir", False),
        ("https://ehr.example/fhir", "https://evil.ehr.example/fhir", False),
    ],
)
def test_a_listed_base_covers_itself_and_what_is_below(listed: str, named: str, covered: bool) -> None:
    assert ServerUrl.parse(listed).covers(ServerUrl.parse(named)) is covered


@pytest.mark.parametrize(
    ("relative", "target"),
    [
        ("Patient/123", "/fhir/Patient/123"),
        ("Patient/a-B.9", "/fhir/Patient/a-B.9"),
        ("Observation?patient=123&_count=2", "/fhir/Observation?patient=123&_count=2"),
        ("Observation?code=http://loinc.org|11524-6,a|b", "/fhir/Observation?code=http://loinc.org%7C11524-6,a%7Cb"),
        ("Observation?date=2026-01-01T00%3A00%2B01%3A00", "/fhir/Observation?date=2026-01-01T00%3A00%2B01%3A00"),
    ],
)
def test_a_read_and_a_search_have_their_target(relative: str, target: str) -> None:
    assert read_or_search(ServerUrl.parse("https://ehr.example/fhir/"), relative) == target


@pytest.mark.parametrize(
    "relative",
    [
        "",
        "/Patient/1",
        "patient/1",
        "Patient/..",
        "Patient/.",
        "Patient/../admin",
        "Patient/1/../2",
        "Patient/1/_history",
        "Patient/",
        "Patient/a_b",
        "Patient/a%2fb",
        "Patient/a\n",
        f"Patient/{'a' * 65}",
        "Patient/1#x",
        "../admin?x=1",
        "https://evil.example/Patient/1",
        "//evil.example/Patient",
        "$export",
        "Observation?a=b c",
        "Observation?a=b\r\nHost: x",
        "Observation?a=b#c",
        "Observation?a=%zz",
        "Observation?a=\u00e9",
        'Observation?a="',
        f"Observation?a={'b' * 9000}",
    ],
)
def test_anything_else_is_not_asked_for(relative: str) -> None:
    with pytest.raises(ValueError):
        read_or_search(ServerUrl.parse("https://ehr.example/fhir"), relative)


@given(st.text())
def test_whatever_is_asked_stays_below_the_base(relative: str) -> None:
    try:
        target = read_or_search(ServerUrl.parse("https://ehr.example/fhir"), relative)
    except ValueError:
        return
    assert target.startswith("/fhir/")
    assert target.isascii()
    assert target.isprintable()
    assert ".." not in target.partition("?")[0].split("/")


def test_a_target_without_a_query_is_the_path() -> None:
    assert (with_query("/jwks", None), with_query("/jwks", "p=a")) == ("/jwks", "/jwks?p=a")
