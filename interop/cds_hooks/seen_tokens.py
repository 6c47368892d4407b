"""Which tokens came before (RFC 7519 section 4.1.7): what keeps one that was overheard from being used again.

The memory is that of one process. See docs/cds-hooks.md for what that means with several, or after a restart.
"""

from hashlib import blake2b
from heapq import heappop, heappush

from inference.errors import Overloaded

# 14 calls a second of one client, each with a token of the longest life of an hour; about 10 MB.
MAX_TOKENS = 50_000
DIGEST_BYTES = 16


class SeenTokens:
    """The `jti` of one client's tokens until each expires."""

    def __init__(self, limit: int = MAX_TOKENS) -> None:
        self._limit = limit
        self._seen: set[bytes] = set()
        self._by_expiry: list[tuple[float, bytes]] = []

    def is_new(self, jti: str, *, expires_at: float, now: float) -> bool:
        """Whether it comes for the first time; from then on it does not. Times in seconds since 1970.

        Raises Overloaded when too many are remembered: forgetting one that is still good would let it in again.
        """
        self._forget(now)
        digest = blake2b(jti.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()
        if digest in self._seen:
            return False
        if len(self._seen) >= self._limit:
            raise Overloaded("too many tokens of this client are still good; shorter lives (exp) make room")
        self._seen.add(digest)
        heappush(self._by_expiry, (expires_at, digest))
        return True

    def _forget(self, now: float) -> None:
        while self._by_expiry and self._by_expiry[0][0] <= now:
            self._seen.remove(heappop(self._by_expiry)[1])
