"""How many requests a token may send in a minute."""

from __future__ import annotations

import logging
import time

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle
from rest_framework.views import APIView

from labeling.models import ApiToken, User

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60


class TokenThrottle(BaseThrottle):
    """API_REQUESTS_PER_MINUTE for each token, and for each signed-in person; 0 sets no limit.

    One counter a minute in the cache that all web processes share. A cache that cannot be reached
    stops nobody: the limit guards against a program run wild, not against strangers.
    """

    def __init__(self) -> None:
        self._left = 0.0

    def allow_request(self, request: Request, view: APIView) -> bool:
        most = settings.API_REQUESTS_PER_MINUTE
        who = caller(request)
        if not most or not who:
            return True
        now = time.time()
        self._left = WINDOW_SECONDS - now % WINDOW_SECONDS
        key = f"api-requests:{who}:{int(now // WINDOW_SECONDS)}"
        try:
            cache.add(key, 0, 2 * WINDOW_SECONDS)
            return int(cache.incr(key)) <= most
        except ValueError:
            return True  # dropped between the two calls
        except (RedisError, OSError) as error:
            logger.warning("Requests are not counted, since the cache is away: %s", error)
            return True

    def wait(self) -> float:
        """Seconds until the next minute begins, as `Retry-After` tells."""
        return self._left


def caller(request: Request) -> str:
    """Stands for who sends the request: the token, else the signed-in user, else nobody."""
    if isinstance(request.auth, ApiToken):
        return f"token-{request.auth.digest}"
    return f"user-{request.user.pk}" if isinstance(request.user, User) else ""
