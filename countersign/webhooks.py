"""Is a request really from the site? For whoever receives its webhooks."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from typing import Any

from countersign.errors import ClientError

TOLERANCE_SECONDS = 300.0


class SignatureError(ClientError):
    """The request is not from the site, was changed on its way, or is an old one."""


def verify(
    body: bytes,
    signature: str,
    secret: str,
    *,
    tolerance: float = TOLERANCE_SECONDS,
    now: float | None = None,
) -> dict[str, Any]:
    """What a webhook says, once its signature is found right.

    `body` is the request's, byte for byte as it came; `signature` its header
    `Countersign-Signature`, `t=SECONDS,v1=HEX`: HMAC-SHA256 under the secret of the seconds, a full
    stop, and the body. A request signed more than `tolerance` seconds from `now` is refused, since
    somebody may have kept it. Raises `SignatureError`.

    The same delivery may come twice: remember its `delivery`.
    """
    found = re.fullmatch(r"t=(\d{1,15}),v1=([0-9a-f]{64})", signature.strip(), re.ASCII)
    if found is None:
        raise SignatureError("The header Countersign-Signature is not of the form t=…,v1=….")
    at, given = found.groups()
    right = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(right, given):
        raise SignatureError("The signature does not fit the body and the secret.")
    if abs((time.time() if now is None else now) - int(at)) > tolerance:
        raise SignatureError(f"The request was signed more than {tolerance:g} seconds ago.")
    said: dict[str, Any] = json.loads(body)
    return said
