"""How often a caller may ask: token buckets in this process.

Several API processes count each for itself, so that a caller may reach the limit once in each of them.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from service.api.problems import RateLimitedError

# Who has been silent for so many others is forgotten: a full bucket is what the next request gets.
MAX_BUCKETS = 10_000
WINDOW_SECONDS = 60


@dataclass
class _Bucket:
    tokens: float
    filled_at: float


class RateLimiter:
    """May be shared by threads.

    Args:
        per_minute: requests that a caller may make in the long run; 0 counts none.
        burst: requests that may come at once.
        clock: seconds, rising; for tests.
    """

    def __init__(self, per_minute: int, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_minute / WINDOW_SECONDS
        self._burst = burst
        self._policy = f'"caller";q={per_minute};w={WINDOW_SECONDS}'
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, who: str) -> Mapping[str, str]:
        """Count one request; the headers that tell its sender what is left.

        They are those of draft-ietf-httpapi-ratelimit-headers: `r` requests are left, `t` seconds until all are.

        Raises:
            RateLimitedError: none is left.
        """
        if not self._per_second:
            return {}
        with self._lock:
            bucket = self._filled(who)
            if bucket.tokens < 1:
                raise self._limited(bucket)
            bucket.tokens -= 1
            return self._headers(bucket)

    def _filled(self, who: str) -> _Bucket:
        now = self._clock()
        bucket = self._buckets.pop(who, None) or _Bucket(self._burst, now)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.filled_at) * self._per_second)
        bucket.filled_at = now
        self._buckets[who] = bucket  # the last one that was used is forgotten last
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket

    def _limited(self, bucket: _Bucket) -> RateLimitedError:
        error = RateLimitedError(max(1, math.ceil((1 - bucket.tokens) / self._per_second)))
        error.headers = {**error.headers, **self._headers(bucket)}
        return error

    def _headers(self, bucket: _Bucket) -> dict[str, str]:
        left = int(bucket.tokens)
        until_full = math.ceil((self._burst - bucket.tokens) / self._per_second)
        return {"RateLimit-Policy": self._policy, "RateLimit": f'"caller";r={left};t={until_full}'}
