"""Settings from the environment, with types and bounds.

A reader never raises: it notes one sentence per wrong value and returns the default, so that
`refuse_if_wrong` can name everything that is wrong in one go. The sentences are plain English: they
are said while Django, and with it gettext, is being set up.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

YES = frozenset({"1", "true", "yes", "on"})
NO = frozenset({"0", "false", "no", "off"})


class Env:
    """Typed readers over one mapping of environment variables. An empty value counts as unset."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.problems: list[str] = []

    def _raw(self, name: str) -> str:
        return self._variables.get(name, "").strip()

    def problem(self, sentence: str) -> None:
        self.problems.append(sentence)

    def refuse_if_wrong(self) -> None:
        """Raise `ImproperlyConfigured` with one sentence per line when any value was wrong."""
        if self.problems:
            raise ImproperlyConfigured("\n".join(self.problems))

    def env_str(self, name: str, default: str = "") -> str:
        return self._raw(name) or default

    def env_bool(self, name: str, default: bool) -> bool:
        raw = self._raw(name)
        if not raw:
            return default
        if raw.lower() not in YES | NO:
            self.problem(
                f"{name} is {raw!r}; it must be one of 1, true, yes, on, 0, false, no, off."
            )
            return default
        return raw.lower() in YES

    def env_int(self, name: str, default: int, *, at_least: int, at_most: int) -> int:
        raw = self._raw(name)
        if not raw:
            return default
        try:
            value = int(raw)
        except ValueError:
            self.problem(f"{name} is {raw!r}; it must be a whole number.")
            return default
        if not at_least <= value <= at_most:
            self.problem(f"{name} is {value}; it must lie between {at_least} and {at_most}.")
            return default
        return value

    def env_float(self, name: str, default: float, *, at_least: float, at_most: float) -> float:
        raw = self._raw(name)
        if not raw:
            return default
        try:
            value = float(raw)
        except ValueError:
            self.problem(f"{name} is {raw!r}; it must be a number.")
            return default
        if not math.isfinite(value) or not at_least <= value <= at_most:
            self.problem(f"{name} is {raw}; it must lie between {at_least} and {at_most}.")
            return default
        return value

    def env_choice(self, name: str, default: str, *, choices: Collection[str]) -> str:
        raw = self._raw(name)
        if not raw:
            return default
        if raw not in choices:
            self.problem(f"{name} is {raw!r}; it must be one of {', '.join(choices)}.")
            return default
        return raw

    def env_url(self, name: str, default: str = "", *, schemes: Collection[str]) -> str:
        """A URL with one of `schemes`. The value is never quoted back: it may hold a password."""
        raw = self._raw(name)
        if not raw:
            return default
        try:
            parts = urlsplit(raw)
            parts.port  # noqa: B018  (raises ValueError for a port that is not a number)
        except ValueError as error:
            self.problem(f"{name} is not a URL: {error}.")
            return default
        if parts.scheme not in schemes:
            self.problem(f"{name} must start with {' or '.join(f'{s}://' for s in schemes)}.")
            return default
        return raw

    def env_list(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """Words separated by commas; empty ones are dropped."""
        raw = self._raw(name)
        if not raw:
            return list(default)
        return [word.strip() for word in raw.split(",") if word.strip()]

    def env_path(self, name: str, default: Path, *, is_folder: bool = True) -> Path:
        """An absolute path; `~` is expanded. What stands there must be of the right kind."""
        raw = self._raw(name)
        if not raw:
            return default
        path = Path(raw).expanduser().resolve()
        if path.exists() and path.is_dir() is not is_folder:
            self.problem(f"{name} is {raw!r}; it must be a {'folder' if is_folder else 'file'}.")
            return default
        return path


def mail_server(url: str) -> dict[str, str | int | bool]:
    """Django's settings of the server that letters go through. A user name asks for TLS."""
    parts = urlsplit(url)
    at_once = parts.scheme == "smtps"
    return {
        "EMAIL_HOST": parts.hostname or "localhost",
        "EMAIL_PORT": parts.port or (465 if at_once else 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_SSL": at_once,
        "EMAIL_USE_TLS": bool(parts.username) and not at_once,
    }


LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def sign_in_provider(
    env: Env, *, issuer: str, client_id: str, secret: str, name: str, domains: Sequence[str]
) -> dict[str, Any]:
    """allauth's description of the OpenID Connect provider that people may sign in with; empty
    where none is named. Half of one is refused, and so is one that is asked in the clear."""
    if not issuer:
        if name or domains or client_id or secret:
            env.problem("OIDC_ISSUER is not set; the other OIDC_ variables need it.")
        return {}
    issuer = issuer.rstrip("/")
    for missing, value in (("OIDC_CLIENT_ID", client_id), ("OIDC_CLIENT_SECRET", secret)):
        if not value:
            env.problem(f"{missing} is not set; OIDC_ISSUER needs it.")
    if urlsplit(issuer).scheme == "http" and urlsplit(issuer).hostname not in LOOPBACK:
        env.problem("OIDC_ISSUER must start with https://; only a host on loopback may do without.")
    app = {
        "provider_id": "sso",
        "name": name or urlsplit(issuer).hostname or "",
        "client_id": client_id,
        "secret": secret,
        "settings": {
            "server_url": issuer,
            "oauth_pkce_enabled": True,
            "email_domains": [domain.lstrip("@").casefold() for domain in domains],
        },
    }
    return {"openid_connect": {"APPS": [app]}}
