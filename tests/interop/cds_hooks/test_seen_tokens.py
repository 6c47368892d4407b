import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.errors import Overloaded
from interop.cds_hooks.seen_tokens import SeenTokens


def test_a_token_is_new_once_until_it_expires() -> None:
    seen = SeenTokens()
    assert seen.is_new("a", expires_at=100, now=0)
    assert not seen.is_new("a", expires_at=100, now=99)
    assert seen.is_new("b", expires_at=100, now=99)
    assert seen.is_new("a", expires_at=200, now=100)
    assert not seen.is_new("a", expires_at=200, now=101)


def test_what_is_still_good_is_never_forgotten_to_make_room() -> None:
    seen = SeenTokens(limit=2)
    assert seen.is_new("a", expires_at=100, now=0)
    assert seen.is_new("b", expires_at=50, now=0)
    with pytest.raises(Overloaded):
        seen.is_new("c", expires_at=100, now=0)
    assert not seen.is_new("a", expires_at=100, now=0)
    assert seen.is_new("c", expires_at=100, now=50)


@given(st.lists(st.tuples(st.sampled_from("abcd\ud800"), st.integers(1, 20)), max_size=40))
def test_no_token_passes_twice_in_its_life(calls: list[tuple[str, int]]) -> None:
    """Against the plain way to keep them: a dictionary that forgets nothing. A second passes between two calls."""
    seen, expiry = SeenTokens(), dict[str, int]()
    for now, (jti, life) in enumerate(calls):
        is_new = expiry.get(jti, 0) <= now
        assert seen.is_new(jti, expires_at=now + life, now=now) is is_new
        if is_new:
            expiry[jti] = now + life
