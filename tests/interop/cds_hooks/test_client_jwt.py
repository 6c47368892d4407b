import asyncio
import hashlib
import hmac
import logging
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import ConfigurationError, Overloaded, Unauthorized
from interop.cds_hooks.client_jwt import Client, ClientTokens, Reason, client_tokens
from interop.cds_hooks.client_keys import GivenKeys, read_key_set
from interop.cds_hooks.outgoing import Outgoing
from interop.cds_hooks.seen_tokens import SeenTokens
from interop.settings import Settings
from tests.fakes import NOW, FixedClock
from tests.interop.cds_hooks.ehr import (
    HOST,
    Ehr,
    PrivateKey,
    algorithm_of,
    certificates,
    ec_key,
    here,
    jwk,
    reply,
    rsa_key,
)

ISS = "https://ehr.example"
OTHER = "https://other.example"
AUDIENCE = "https://ecg.example/cds-services/ecg-patient-view"
NOW_SECONDS = int(NOW.timestamp())
KEYS: Mapping[str, PrivateKey] = {"ec": ec_key(), "rsa": rsa_key()}
PUBLISHED = [jwk(key, kid) for kid, key in KEYS.items()]

LIFE = {"iat": NOW_SECONDS, "exp": NOW_SECONDS + 300}


def claims(**changed: Any) -> dict[str, Any]:
    """Good ones, changed; None takes one away."""
    all_of_them = {"iss": ISS, "aud": AUDIENCE, "jti": str(uuid4())} | LIFE | changed
    return {name: value for name, value in all_of_them.items() if value is not None}


def token(key: PrivateKey = KEYS["ec"], *, kid: str | None = "ec", algorithm: str | None = None, **changed: Any) -> str:
    """A signed token. header: more members of the header."""
    header = {name: value for name, value in ({"kid": kid} | changed.pop("header", {})).items() if value is not None}
    return jwt.encode(claims(**changed), key, algorithm=algorithm or algorithm_of(key), headers=header)


def by_hand(header: Any, payload: Any, sign: bytes | None = b"x") -> str:
    """Whatever a library would not make. sign: a secret for HMAC with SHA-384."""
    head, body = (
        urlsafe_b64encode(part if isinstance(part, bytes) else orjson.dumps(part)).rstrip(b"=").decode()
        for part in (header, payload)
    )
    signed = f"{head}.{body}"
    signature = b"" if sign is None else hmac.digest(sign, signed.encode(), hashlib.sha384)
    return f"{signed}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def bearer(token: str) -> str:
    return f"Bearer {token}"


def public_pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def tokens(clock: FixedClock | None = None, seen: SeenTokens | None = None) -> ClientTokens:
    """Two clients: one with given keys, and one with another key under the same kid."""
    given_keys = GivenKeys(read_key_set({"keys": PUBLISHED}).keys)
    others = GivenKeys(read_key_set({"keys": [jwk(ec_key(1), "ec")]}).keys)
    clients = [
        Client(ISS, given_keys, "https://ehr.example/jwks", seen or SeenTokens()),
        Client(OTHER, others),
    ]
    return ClientTokens(clients, clock or FixedClock())


def verify(authorization: str | None, audience: str = AUDIENCE, verifier: ClientTokens | None = None) -> str:
    return asyncio.run((verifier or tokens()).verify(authorization, audience))


@pytest.mark.parametrize("kid", KEYS)
def test_a_good_token_tells_who_calls(kid: str) -> None:
    assert verify(f"Bearer {token(KEYS[kid], kid=kid)}") == ISS


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": ["https://elsewhere.example", AUDIENCE]},
        {"header": {"jku": "https://ehr.example/jwks"}},
        {"header": {"typ": "jwt"}},
        {"tenant": "2ddd6c3a-8e9a-44c6-a305-52111ad302a2", "sub": "x"},
        {"exp": NOW_SECONDS + 3600},
        {"iat": NOW_SECONDS + 29},
        {"iat": NOW_SECONDS - 300, "exp": NOW_SECONDS - 29},
        {"iat": NOW_SECONDS - 0.5, "exp": NOW_SECONDS + 9.5},
        {"nbf": NOW_SECONDS - 10},
    ],
    ids=str,
)
def test_what_the_specification_allows_is_taken(changed: dict[str, Any]) -> None:
    assert verify(f"Bearer {token(**changed)}") == ISS


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER  "])
def test_the_scheme_is_read_without_case(scheme: str) -> None:
    assert verify(f"{scheme}{token()}") == ISS


GOOD_HEADER = {"alg": "ES384", "kid": "ec", "typ": "JWT"}
ATTACKS: dict[str, tuple[str | None, Reason]] = {
    "none at all": (None, Reason.ABSENT),
    "empty": ("", Reason.MALFORMED),
    "another scheme": (f"Basic {token()}", Reason.MALFORMED),
    "no scheme": (token(), Reason.MALFORMED),
    "two tokens": (f"Bearer {token()} {token()}", Reason.MALFORMED),
    "two headers in one": (f"Bearer {token()}, Bearer {token()}", Reason.MALFORMED),
    "garbage": ("Bearer a.b.c", Reason.MALFORMED),
    "two parts": (bearer(token().rpartition(".")[0]), Reason.MALFORMED),
    "five parts (JWE)": ("Bearer a.b.c.d.e", Reason.MALFORMED),
    "not ASCII": ("Bearer \u00e9.b.c", Reason.MALFORMED),
    "a line break": (f"Bearer {token()}\n", Reason.MALFORMED),
    "oversized": (bearer(token(padding="x" * 8192)), Reason.OVERSIZED),
    "deep header": (bearer(by_hand(b"[" * 2500, {})), Reason.MALFORMED),
    "deep claims": (bearer(by_hand(GOOD_HEADER, b"[" * 5000)), Reason.MALFORMED),
    "header that is a list": (bearer(by_hand([], {})), Reason.MALFORMED),
    "claims that are a list": (bearer(by_hand(GOOD_HEADER, [])), Reason.MALFORMED),
    "claims that are no JSON": (bearer(by_hand(GOOD_HEADER, b"{")), Reason.MALFORMED),
    "claims that are no UTF-8": (bearer(by_hand(GOOD_HEADER, bytes([255]))), Reason.MALFORMED),
    "a number without end": (bearer(by_hand(GOOD_HEADER, b'{"exp":' + b"9" * 5000 + b"}")), Reason.MALFORMED),
    "alg none": (bearer(by_hand({"alg": "none", "kid": "ec", "typ": "JWT"}, claims(), None)), Reason.MALFORMED),
    "alg none, signed": (bearer(by_hand(GOOD_HEADER | {"alg": "none"}, claims())), Reason.ALGORITHM),
    "alg None": (bearer(by_hand(GOOD_HEADER | {"alg": "NoNe"}, claims())), Reason.ALGORITHM),
    "no alg": (bearer(by_hand({"kid": "ec", "typ": "JWT"}, claims())), Reason.ALGORITHM),
    "alg of another type": (bearer(by_hand(GOOD_HEADER | {"alg": ["ES384"]}, claims())), Reason.ALGORITHM),
    "RS256": (bearer(token(KEYS["rsa"], kid="rsa", algorithm="RS256")), Reason.ALGORITHM),
    "PS384": (bearer(token(KEYS["rsa"], kid="rsa", algorithm="PS384")), Reason.ALGORITHM),
    "HS384 with the public key": (
        bearer(by_hand(GOOD_HEADER | {"alg": "HS384", "kid": "rsa"}, claims(), public_pem(KEYS["rsa"]))),
        Reason.ALGORITHM,
    ),
    "RS384 that is HMAC with the public key": (
        bearer(by_hand(GOOD_HEADER | {"alg": "RS384", "kid": "rsa"}, claims(), public_pem(KEYS["rsa"]))),
        Reason.SIGNATURE,
    ),
    "RS384 with the kid of an EC key": (bearer(token(KEYS["rsa"], kid="ec")), Reason.KEY),
    "no kid": (bearer(token(kid=None)), Reason.KEY),
    "an empty kid": (bearer(token(kid="")), Reason.KEY),
    "an unknown kid": (bearer(token(kid="ec2")), Reason.KEY),
    "a kid that is a path": (bearer(token(kid="../../dev/null")), Reason.KEY),
    "a long kid": (bearer(token(kid="k" * 2001)), Reason.KEY),
    "a kid that is a number": (bearer(by_hand(GOOD_HEADER | {"kid": 7}, claims())), Reason.MALFORMED),
    "another key": (bearer(token(ec_key(2))), Reason.SIGNATURE),
    "the key of another client": (bearer(token(ec_key(1))), Reason.SIGNATURE),
    "our key in the name of another client": (bearer(token(iss=OTHER)), Reason.SIGNATURE),
    "its own key in the header": (
        bearer(token(ec_key(2), header={"jwk": jwk(ec_key(2), "ec")})),
        Reason.SIGNATURE,
    ),
    "claims of another token": (
        bearer(".".join(token().split(".")[part] for part in range(3))),
        Reason.SIGNATURE,
    ),
    "an ECDSA signature of zeros": (
        bearer(f"{token().rpartition('.')[0]}.{urlsafe_b64encode(bytes(96)).decode()}"),
        Reason.SIGNATURE,
    ),
    "typ of another token": (bearer(token(header={"typ": "at+jwt"})), Reason.TYPE),
    "no typ": (bearer(by_hand({"alg": "ES384", "kid": "ec"}, claims())), Reason.TYPE),
    "another jku": (bearer(token(header={"jku": "https://evil.example/jwks"})), Reason.KEY_URL),
    "a jku that begins like ours": (bearer(token(header={"jku": "https://ehr.example/jwks2"})), Reason.KEY_URL),
    "a jku of a client without one": (
        bearer(token(ec_key(1), iss=OTHER, header={"jku": "https://other.example/jwks"})),
        Reason.KEY_URL,
    ),
    "no iss": (bearer(token(iss=None)), Reason.ISSUER),
    "an unknown iss": (bearer(token(iss="https://evil.example")), Reason.ISSUER),
    "iss with a slash": (bearer(token(iss=ISS + "/")), Reason.ISSUER),
    "iss that is a list": (bearer(by_hand(GOOD_HEADER, claims(iss=[ISS]))), Reason.ISSUER),
    "no aud": (bearer(token(aud=None)), Reason.CLAIMS),
    "another aud": (bearer(token(aud="https://ecg.example/cds-services/ecg-order-sign")), Reason.AUDIENCE),
    "the base as aud": (bearer(token(aud="https://ecg.example")), Reason.AUDIENCE),
    "aud with a slash": (bearer(token(aud=AUDIENCE + "/")), Reason.AUDIENCE),
    "aud in capitals": (bearer(token(aud=AUDIENCE.upper())), Reason.AUDIENCE),
    "an empty aud": (bearer(token(aud=[])), Reason.CLAIMS),
    "a number as aud": (bearer(token(aud=[7])), Reason.AUDIENCE),
    "no exp": (bearer(token(exp=None)), Reason.CLAIMS),
    "no iat": (bearer(token(iat=None)), Reason.CLAIMS),
    "no jti": (bearer(token(jti=None)), Reason.CLAIMS),
    "an empty jti": (bearer(token(jti="")), Reason.CLAIMS),
    "a long jti": (bearer(token(jti="j" * 2001)), Reason.CLAIMS),
    "a jti that is a number": (bearer(token(jti=7)), Reason.CLAIMS),
    "expired": (bearer(token(iat=NOW_SECONDS - 300, exp=NOW_SECONDS - 30)), Reason.EXPIRED),
    "of the future": (bearer(token(iat=NOW_SECONDS + 31)), Reason.EARLY),
    "not before a future time": (bearer(token(nbf=NOW_SECONDS + 31)), Reason.EARLY),
    "good for more than an hour": (bearer(token(exp=NOW_SECONDS + 3601)), Reason.LONG),
    "good for ever": (bearer(token(exp=253_402_300_799)), Reason.LONG),
    "ends before it begins": (bearer(token(iat=NOW_SECONDS + 20, exp=NOW_SECONDS + 10)), Reason.LONG),
    "exp that is a text": (bearer(token(exp=str(NOW_SECONDS + 300))), Reason.CLAIMS),
    "exp that is true": (bearer(token(exp=True)), Reason.CLAIMS),
    "exp that is no number": (bearer(token(exp=float("nan"))), Reason.CLAIMS),
    "exp without end": (bearer(token(exp=float("inf"))), Reason.CLAIMS),
    "exp beyond every float": (bearer(token(exp=10**400)), Reason.CLAIMS),
    "iat that is no number": (bearer(token(iat=float("nan"))), Reason.CLAIMS),
    "iat before time": (bearer(token(iat=-1)), Reason.CLAIMS),
    "what must be understood and is": (
        bearer(by_hand(GOOD_HEADER | {"crit": ["b64"], "b64": True}, claims())),
        Reason.CRITICAL,
    ),
    "what must be understood": (bearer(token(header={"crit": ["exp"], "exp": 1})), Reason.MALFORMED),
}


@pytest.mark.parametrize(("authorization", "reason"), ATTACKS.values(), ids=ATTACKS.keys())
def test_every_other_token_is_refused_without_a_word_why(
    caplog: pytest.LogCaptureFixture, authorization: str | None, reason: Reason
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Unauthorized) as caught:
        verify(authorization)
    assert caught.value.message == "a valid token of a known CDS client is required"
    assert caught.value.element is None
    assert caught.value.__cause__ is None
    ours = [record for record in caplog.records if record.name.startswith("interop")]
    assert [vars(record)["reason"] for record in ours] == [reason.value]


def test_a_token_is_good_for_one_call(caplog: pytest.LogCaptureFixture) -> None:
    clock = FixedClock()
    verifier, authorization = tokens(clock), f"Bearer {token()}"
    assert verify(authorization, verifier=verifier) == ISS
    for seconds in (0, 200, 329):
        clock.now = NOW + timedelta(seconds=seconds)
        with caplog.at_level(logging.INFO), pytest.raises(Unauthorized):
            verify(authorization, verifier=verifier)
    clock.now = NOW + timedelta(seconds=331)
    with caplog.at_level(logging.INFO), pytest.raises(Unauthorized):
        verify(authorization, verifier=verifier)
    reasons = [vars(record)["reason"] for record in caplog.records if record.msg == "CDS client refused"]
    assert reasons == ["replayed", "replayed", "replayed", "expired"]


def test_the_same_jti_of_two_clients_is_not_the_same() -> None:
    verifier = tokens()
    assert verify(f"Bearer {token(jti='1')}", verifier=verifier) == ISS
    assert verify(f"Bearer {token(ec_key(1), iss=OTHER, jti='1')}", verifier=verifier) == OTHER


def test_a_token_that_is_refused_leaves_its_jti_to_others() -> None:
    """Otherwise whoever guesses the next one could keep the client out."""
    verifier = tokens()
    for wrong in (token(ec_key(2), jti="1"), token(jti="1", aud="https://x.example"), token(jti="1", exp=LIFE["iat"])):
        with pytest.raises(Unauthorized):
            verify(f"Bearer {wrong}", verifier=verifier)
    assert verify(f"Bearer {token(jti='1')}", verifier=verifier) == ISS


def test_two_calls_at_once_with_one_token_are_one_too_many() -> None:
    async def scene() -> list[object]:
        verifier, authorization = tokens(), f"Bearer {token()}"
        calls = (verifier.verify(authorization, AUDIENCE) for _ in range(5))
        return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(scene())
    assert results.count(ISS) == 1
    assert sum(isinstance(result, Unauthorized) for result in results) == 4


def test_a_client_with_too_many_good_tokens_has_to_wait() -> None:
    verifier = tokens(seen=SeenTokens(limit=1))
    verify(f"Bearer {token()}", verifier=verifier)
    with pytest.raises(Overloaded):
        verify(f"Bearer {token()}", verifier=verifier)


def test_no_token_and_no_claim_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(Unauthorized):
        verify(f"Bearer {token(ec_key(2), sub='Muster-Erika', jti='jti-4711')}")
    text = " ".join(str(vars(record)) for record in caplog.records)
    assert not any(secret in text for secret in ("eyJ", "Muster", "4711", ISS))


@given(st.text() | st.from_regex(r"Bearer [A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,40}){0,3}", fullmatch=True))
def test_any_header_is_refused_in_order(authorization: str) -> None:
    with pytest.raises(Unauthorized):
        verify(authorization)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    ),
    st.sampled_from(["iss", "aud", "exp", "iat", "jti", "nbf", "sub"]),
)
def test_a_claim_of_any_form_is_taken_or_refused_in_order(value: Any, name: str) -> None:
    payload = claims() | {name: value}
    authorization = f"Bearer {jwt.encode(payload | {'iss': ISS}, KEYS['ec'], 'ES384', headers={'kid': 'ec'})}"
    try:
        assert verify(authorization) == ISS
    except Unauthorized:
        return


def settings(tmp_path: Path, content: object) -> Settings:
    file = tmp_path / "clients.json"
    file.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
    return Settings(cds_clients=file, public_url="https://ecg.example")


def test_without_a_file_nobody_is_asked() -> None:
    assert client_tokens(Settings(), FixedClock()) is None


def test_the_clients_of_the_file_are_known(tmp_path: Path) -> None:
    content = [{"iss": ISS, "jwks": {"keys": PUBLISHED}}, {"iss": OTHER, "jwks_uri": "https://other.example/jwks"}]
    assert verify(f"Bearer {token()}", verifier=client_tokens(settings(tmp_path, content), FixedClock())) == ISS


def test_keys_that_the_client_publishes_are_fetched(tmp_path: Path) -> None:
    async def scene() -> tuple[str, str]:
        server_side, client_side = certificates()
        async with Ehr(reply(orjson.dumps({"keys": PUBLISHED})), server_side) as ehr:
            uri = f"https://{HOST}:{ehr.port}/jwks"
            outgoing = Outgoing(timedelta(seconds=30), tls=client_side, resolve=here())
            clients = settings(tmp_path, [{"iss": ISS, "jwks_uri": uri}])
            verifier = client_tokens(clients, FixedClock(), outgoing)
            assert verifier is not None
            first = await verifier.verify(f"Bearer {token(header={'jku': uri})}", AUDIENCE)
            second = await verifier.verify(f"Bearer {token(KEYS['rsa'], kid='rsa')}", AUDIENCE)
            await outgoing.close()
            assert len(ehr.asked) == 1
            return first, second

    assert asyncio.run(scene()) == (ISS, ISS)


def test_a_client_whose_keys_cannot_be_had_is_refused(tmp_path: Path) -> None:
    clients = settings(tmp_path, [{"iss": ISS, "jwks_uri": "https://127.0.0.1:1/jwks"}])
    with pytest.raises(Unauthorized):
        verify(f"Bearer {token()}", verifier=client_tokens(clients, FixedClock()))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no JSON"),
        (b"{}", "a JSON list with one client or more"),
        (b"[]", "a JSON list with one client or more"),
        ([7], r"\[0\]: is no JSON object"),
        ([{}], r"\[0\]: iss is needed.*; \[0\]: either jwks or jwks_uri"),
        ([{"iss": 7, "jwks": {"keys": PUBLISHED}}], "iss is needed"),
        ([{"iss": ISS, "jwks": {"keys": PUBLISHED}, "jwks_uri": "https://x.example"}], "either jwks or jwks_uri"),
        ([{"iss": ISS, "jwks": {"keys": PUBLISHED}, "alg": "RS256"}], "alg is not known"),
        ([{"iss": ISS, "jwks": {"keys": []}}], "no key for RS384 or ES384"),
        ([{"iss": ISS, "jwks": {"keys": [PUBLISHED[0] | {"d": "AA"}]}}], r"keys\[0\] is a private"),
        ([{"iss": ISS, "jwks_uri": "http://x.example"}], "jwks_uri is no https URL"),
        ([{"iss": ISS, "jwks_uri": None}], "jwks_uri is no plain"),
        ([{"iss": ISS, "jwks": {"keys": PUBLISHED}}] * 2, f"iss '{ISS}' is there more than once"),
    ],
)
def test_a_wrong_file_is_told_at_start(tmp_path: Path, content: object, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=f"ECG_CDS_CLIENTS=.*{problem}"):
        client_tokens(settings(tmp_path, content), FixedClock())


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    content = [{"jwks": {"keys": [{"kty": "oct", "k": "AA"}]}}, {"iss": ISS, "jwks_uri": "http://x.example"}, 7]
    with pytest.raises(ConfigurationError) as caught:
        client_tokens(settings(tmp_path, content), FixedClock())
    told = caught.value.message
    assert [place in told for place in ("[0]: iss", "[0]: jwks keys[0]", "[1]: jwks_uri", "[2]: is no")] == [True] * 4


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        client_tokens(Settings(cds_clients=tmp_path / "none.json"), FixedClock())


def test_the_url_that_tokens_are_for_must_be_set(tmp_path: Path) -> None:
    """Else a service that got a token for itself could use it here, with its own name in the Host header."""
    clients = settings(tmp_path, [{"iss": ISS, "jwks": {"keys": PUBLISHED}}]).model_copy(update={"public_url": None})
    with pytest.raises(ConfigurationError, match="needs ECG_PUBLIC_URL"):
        client_tokens(clients, FixedClock())
