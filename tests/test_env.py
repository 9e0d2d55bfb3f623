"""Readers of the environment: types, bounds, and one sentence per wrong value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from annotation_site.env import Env, mail_server, sign_in_provider

HERE = Path(__file__).parent


def test_unset_and_empty_variables_give_the_default() -> None:
    env = Env({"B": "", "I": "  "})
    assert env.env_bool("B", default=True) is True
    assert env.env_int("I", 3, at_least=0, at_most=9) == 3
    assert env.env_float("F", 0.5, at_least=0, at_most=1) == 0.5
    assert env.env_str("S", "word") == "word"
    assert env.env_choice("C", "a", choices=("a", "b")) == "a"
    assert env.env_url("U", schemes=("redis",)) == ""
    assert env.env_list("L", ["x"]) == ["x"]
    assert env.env_path("P", HERE) == HERE
    env.refuse_if_wrong()


@pytest.mark.parametrize(
    ("raw", "value"), [("1", True), ("Yes", True), ("on", True), ("0", False), ("FALSE", False)]
)
def test_switches_are_read_in_words_and_digits(raw: str, value: bool) -> None:
    env = Env({"SWITCH": raw})
    assert env.env_bool("SWITCH", default=not value) is value
    assert env.problems == []


def test_good_values_are_read_with_their_types() -> None:
    env = Env(
        {
            "I": " 7 ",
            "F": "0.25",
            "C": "b",
            "U": "redis://:secret@host:6379/0",
            "L": "a, b,,c ",
            "P": str(HERE),
        }
    )
    assert env.env_int("I", 0, at_least=0, at_most=9) == 7
    assert env.env_float("F", 0, at_least=0, at_most=1) == 0.25
    assert env.env_choice("C", "a", choices=("a", "b")) == "b"
    assert env.env_url("U", schemes=("redis",)) == "redis://:secret@host:6379/0"
    assert env.env_list("L") == ["a", "b", "c"]
    assert env.env_path("P", Path("/")) == HERE
    env.refuse_if_wrong()


@pytest.mark.parametrize(
    ("raw", "read", "sentence"),
    [
        ("maybe", lambda e: e.env_bool("X", default=False), "X is 'maybe'; it must be one of 1,"),
        ("3.5", lambda e: e.env_int("X", 1, at_least=0, at_most=9), "must be a whole number."),
        ("10", lambda e: e.env_int("X", 1, at_least=0, at_most=9), "X is 10; it must lie between"),
        ("-1", lambda e: e.env_int("X", 1, at_least=0, at_most=9), "between 0 and 9."),
        (
            "x",
            lambda e: e.env_float("X", 1, at_least=0, at_most=9),
            "X is 'x'; it must be a number.",
        ),
        ("nan", lambda e: e.env_float("X", 1, at_least=0, at_most=9), "must lie between 0 and 9."),
        ("inf", lambda e: e.env_float("X", 1, at_least=0, at_most=9), "must lie between 0 and 9."),
        ("c", lambda e: e.env_choice("X", "a", choices=("a", "b")), "it must be one of a, b."),
        (
            "http://h",
            lambda e: e.env_url("X", schemes=("redis", "rediss")),
            "redis:// or rediss://.",
        ),
        ("redis://h:port", lambda e: e.env_url("X", schemes=("redis",)), "X is not a URL:"),
        (__file__, lambda e: e.env_path("X", HERE), "it must be a folder."),
        (str(HERE), lambda e: e.env_path("X", HERE, is_folder=False), "it must be a file."),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence(
    raw: str, read: Callable[[Env], object], sentence: str
) -> None:
    env = Env({"X": raw})
    read(env)
    assert len(env.problems) == 1
    with pytest.raises(ImproperlyConfigured) as refused:
        env.refuse_if_wrong()
    assert sentence in str(refused.value)


def test_all_wrong_values_are_named_at_once() -> None:
    env = Env({"A": "x", "B": "y"})
    env.env_int("A", 1, at_least=0, at_most=9)
    env.env_bool("B", default=False)
    with pytest.raises(ImproperlyConfigured) as refused:
        env.refuse_if_wrong()
    assert [line[0] for line in str(refused.value).splitlines()] == ["A", "B"]


def test_a_refused_url_does_not_repeat_its_password() -> None:
    env = Env({"U": "http://user:secret@host/", "V": "redis://:secret@host:port/"})
    env.env_url("U", schemes=("redis",))
    env.env_url("V", schemes=("redis",))
    assert len(env.problems) == 2
    assert "secret" not in " ".join(env.problems)


@pytest.mark.parametrize(
    ("url", "port", "tls", "ssl"),
    [
        ("smtp://mail.example.org", 25, False, False),
        ("smtp://me%40example.org:p%2Fw@mail.example.org:587", 587, True, False),
        ("smtps://me%40example.org:p%2Fw@mail.example.org", 465, False, True),
    ],
)
def test_a_mail_server_is_read_from_its_url(url: str, port: int, tls: bool, ssl: bool) -> None:
    found = mail_server(url)
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"]) == ("mail.example.org", port)
    assert (found["EMAIL_USE_TLS"], found["EMAIL_USE_SSL"]) == (tls, ssl)
    if "@" in url:
        assert found["EMAIL_HOST_USER"] == "me@example.org"
        assert found["EMAIL_HOST_PASSWORD"] == "p/w"


OIDC: dict[str, Any] = {
    "issuer": "https://id.example.org/realm/",
    "client_id": "us",
    "secret": "hidden",
    "name": "",
    "domains": (),
}


def test_a_provider_is_described_to_allauth() -> None:
    env = Env({})
    described = sign_in_provider(env, **OIDC)
    [app] = described["openid_connect"]["APPS"]
    assert env.problems == []
    assert (app["name"], app["client_id"], app["secret"]) == ("id.example.org", "us", "hidden")
    assert app["settings"]["server_url"] == "https://id.example.org/realm"
    assert app["settings"]["oauth_pkce_enabled"] is True
    nothing: dict[str, Any] = {**dict.fromkeys(OIDC, ""), "domains": ()}
    assert sign_in_provider(env, **nothing) == {}
    assert env.problems == []


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"issuer": ""}, "OIDC_ISSUER is not set"),
        ({"issuer": "", "client_id": "", "secret": "", "name": "x"}, "OIDC_ISSUER is not set"),
        ({"secret": ""}, "OIDC_CLIENT_SECRET is not set"),
        ({"client_id": ""}, "OIDC_CLIENT_ID is not set"),
        ({"issuer": "http://id.example.org"}, "must start with https://"),
    ],
)
def test_half_a_provider_is_refused(given: dict[str, Any], sentence: str) -> None:
    env = Env({})
    sign_in_provider(env, **OIDC | given)
    with pytest.raises(ImproperlyConfigured) as refused:
        env.refuse_if_wrong()
    assert sentence in str(refused.value)
    assert "hidden" not in str(refused.value)
