"""A provider of OpenID Connect in a process of its own, and a site that sends people to it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import requests
from django.conf import LazySettings

from annotation_site.env import Env, sign_in_provider
from tests.support import ROOT
from tests.vllm import free_port

READY_SECONDS = 60


class Provider:
    """`oidc-provider-mock`, which believes whoever says who they are."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.url, self.process = f"http://localhost:{port}", process

    def say(self, sub: str, **claims: Any) -> None:
        """What it says of whoever signs in there as `sub`."""
        requests.put(f"{self.url}/users/{quote(sub)}", json=claims, timeout=10).raise_for_status()

    def authorize(self, address: str, **form: str) -> str:
        """Press a button on its page; where it sends the browser."""
        answer = requests.post(address, data=form, allow_redirects=False, timeout=10)
        assert answer.status_code == 302, answer.text
        return answer.headers["Location"]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@contextmanager
def running_provider() -> Iterator[Provider]:
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    provider = Provider(port, process)
    try:
        _wait(provider)
        yield provider
    finally:
        provider.stop()


def _wait(provider: Provider) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        assert provider.process.poll() is None, "the provider ended while it started"
        try:
            requests.get(f"{provider.url}/.well-known/openid-configuration", timeout=5)
            return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError("the provider does not answer")


def use(settings: LazySettings, url: str, **more: Any) -> None:
    """What the environment of a site would say that sends people to this provider."""
    env = Env({})
    given: dict[str, Any] = {"client_id": "us", "secret": "s", "name": "Heron ID", "domains": ()}
    settings.SOCIALACCOUNT_PROVIDERS = sign_in_provider(env, issuer=url, **given | more)
    env.refuse_if_wrong()
