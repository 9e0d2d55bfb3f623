"""Countersign over REST, from Python: send predictions, wait, fetch labels.

    from countersign import Client

    with Client("http://127.0.0.1:8000", token="cs_...") as client:
        sent = client.push("shop", rows, model_version="intents-7")
        client.wait("shop", sent.runs)
        labeled = list(client.pull("shop", status="resolved"))

The package needs nothing of the server's code and one library, httpx2.
"""

from __future__ import annotations

from countersign.batches import Pushed, RowError
from countersign.client import Client
from countersign.errors import (
    ClientError,
    FileError,
    RefusedError,
    SignedOutError,
    StillRunningError,
    UnreachableError,
)
from countersign.webhooks import SignatureError, verify

__all__ = [
    "Client",
    "ClientError",
    "FileError",
    "Pushed",
    "RefusedError",
    "RowError",
    "SignatureError",
    "SignedOutError",
    "StillRunningError",
    "UnreachableError",
    "verify",
]
