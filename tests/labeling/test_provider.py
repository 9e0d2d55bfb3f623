"""Signing in by a provider of OpenID Connect: who comes in, who is refused in words, and what is
left of other ways into an account."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.conf import LazySettings
from django.test import Client

from labeling.actions.people import invite
from labeling.actions.projects import create_token
from labeling.models import Invitation, Member, Project, User
from tests.labeling.builders import make_member, make_project, make_user
from tests.oidc import Provider, running_provider, use

pytestmark = pytest.mark.django_db
START = "/accounts/oidc/login/"
NORA = "nora@heron.example"


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider, settings: LazySettings) -> Provider:
    use(settings, running.url)
    running.say("n1", email=NORA, email_verified=True, preferred_username="nora", name="Nora")
    return running


@pytest.fixture
def project() -> Project:
    return make_project("heron")


@pytest.fixture
def ada(project: Project) -> Member:
    return make_member(project, "admin", "ada")


def sign_in(
    provider: Provider, client: Client, sub: str = "n1", query: dict[str, str] | None = None
) -> Any:
    """The whole way: to the provider, its button, and back. The answer at its end."""
    to = client.get(START, query)
    assert to.status_code == 302
    back = urlsplit(provider.authorize(to["Location"], sub=sub))
    assert back.path == "/accounts/oidc/callback/"
    return client.get(f"{back.path}?{back.query}", follow=True)


def refused(response: Any, *words: str) -> None:
    assert response.status_code == 403
    html = response.content.decode()
    assert all(word in html for word in words), html
    assert "_auth_user_id" not in response.client.session


def user_in(client: Client) -> str:
    return User.objects.get(pk=client.session["_auth_user_id"]).username


def test_without_a_provider_there_is_no_button_and_no_page(client: Client) -> None:
    html = client.get("/accounts/login/").content.decode()
    assert "oidc" not in html
    assert client.get(START).status_code == 404
    assert client.get("/accounts/oidc/callback/", {"code": "1", "state": "2"}).status_code == 404


def test_the_invited_come_in_with_an_account_that_is_made_for_them(
    provider: Provider, project: Project, ada: Member, client: Client
) -> None:
    invite(project=project, role="expert", by=ada, email="Nora@heron.example")
    assert "Sign in with Heron ID" in client.get("/accounts/login/").content.decode()
    html = sign_in(provider, client).content.decode()
    assert user_in(client) == "nora"
    assert "Welcome to the project" in html
    assert "Heron" in html
    member = Member.objects.get(user__username="nora")
    assert (member.project, member.role) == (project, "expert")
    assert Invitation.objects.get().accepted_by == member
    assert not User.objects.get(username="nora").has_usable_password()


def test_they_come_in_again_and_no_second_account_is_made(
    provider: Provider, project: Project, ada: Member, client: Client
) -> None:
    invite(project=project, role="regular", by=ada, email=NORA)
    sign_in(provider, client)
    provider.say("n1", email="nora.new@heron.example", email_verified=True)
    again = Client()
    assert sign_in(provider, again).status_code == 200
    assert user_in(again) == "nora"
    assert User.objects.filter(username__startswith="nora").count() == 1


def test_an_open_link_makes_an_account_too_and_is_used_up(
    provider: Provider, project: Project, ada: Member, client: Client
) -> None:
    _invitation, secret = invite(project=project, role="regular", by=ada)
    path = f"/invitation/{secret}/"
    assert f"{START}?next=%2Finvitation%2F" in client.get(path).content.decode()
    assert sign_in(provider, client, query={"next": path}).status_code == 200
    assert Member.objects.filter(project=project, user__email=NORA).exists()
    assert Client().get(path).status_code == 410


def test_a_link_for_another_address_lets_nobody_else_in(
    provider: Provider, project: Project, ada: Member, client: Client
) -> None:
    _invitation, secret = invite(project=project, role="regular", by=ada, email="other@x.example")
    client.get(f"/invitation/{secret}/")
    refused(sign_in(provider, client), "for another e-mail address")
    assert not User.objects.filter(email=NORA).exists()


def test_strangers_are_told_that_nobody_invited_them(provider: Provider, client: Client) -> None:
    refused(sign_in(provider, client), NORA, "no invitation")
    assert not User.objects.exists()
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize(
    "claims",
    [
        {"email": NORA},
        {"email": NORA, "email_verified": False},
        {"email": NORA, "email_verified": "false"},
        {"email": NORA, "email_verified": 1},
        {"email_verified": True},
        {"email": [NORA], "email_verified": True},
        {"email": "n" * 260 + "@heron.example", "email_verified": True},
        {"email": "nobody", "email_verified": True},
    ],
)
def test_an_address_that_is_not_verified_opens_no_account(
    provider: Provider, claims: dict[str, Any], client: Client
) -> None:
    nora = make_user("nora", email=NORA)
    provider.say("n2", **claims)
    refused(sign_in(provider, client, "n2"), "does not say that your e-mail address is verified")
    nora.refresh_from_db()
    assert nora.has_usable_password()
    assert not SocialAccount.objects.exists()


def test_only_addresses_of_the_named_domains_come_in(
    provider: Provider, settings: LazySettings, client: Client
) -> None:
    make_user("nora", email=NORA)
    use(settings, provider.url, domains=["@other.example", "example"])
    refused(sign_in(provider, client), NORA, "do not come in by Heron ID")
    use(settings, provider.url, domains=["HERON.example"])
    assert sign_in(provider, client).status_code == 200


def test_who_planted_an_account_is_out_once_its_owner_comes(
    provider: Provider, client: Client
) -> None:
    nora = make_user("nora", email="NORA@heron.example")
    _token, secret = create_token(user=nora, name="t", scopes=["read"])
    planted = Client()
    planted.post("/accounts/login/", {"login": "nora", "password": "password"})
    assert planted.get("/").status_code == 200
    html = sign_in(provider, client).content.decode()
    assert "Its password and its API tokens are good no more" in html
    assert user_in(client) == "nora"
    assert planted.get("/").status_code == 302
    planted.post("/accounts/login/", {"login": "nora", "password": "password"})
    assert planted.get("/").status_code == 302
    header = {"Authorization": f"Token {secret}"}
    assert Client().get("/api/v1/projects/", headers=header).status_code == 401


@pytest.mark.parametrize("proof", ["superuser", "verified"])
def test_a_proved_account_keeps_its_password(
    provider: Provider, client: Client, proof: str
) -> None:
    nora = make_user("nora", email=NORA, is_superuser=proof == "superuser")
    if proof == "verified":
        EmailAddress.objects.create(user=nora, email=NORA, verified=True, primary=True)
    sign_in(provider, client)
    assert user_in(client) == "nora"
    nora.refresh_from_db()
    assert nora.has_usable_password()


def test_an_address_given_to_somebody_new_does_not_open_the_old_account(
    provider: Provider, client: Client
) -> None:
    make_user("nora", email=NORA)
    sign_in(provider, Client())
    provider.say("n9", email=NORA, email_verified=True)
    refused(sign_in(provider, client, "n9"), "belongs to somebody else at Heron ID")


def test_two_accounts_with_one_address_are_not_guessed_between(
    provider: Provider, client: Client
) -> None:
    make_user("nora", email=NORA)
    make_user("nora2", email=NORA.upper())
    refused(sign_in(provider, client), "Several accounts")


@pytest.mark.parametrize("tied", [True, False])
def test_a_closed_account_stays_closed(provider: Provider, client: Client, tied: bool) -> None:
    make_user("nora", email=NORA)
    if tied:
        sign_in(provider, Client())
    User.objects.update(is_active=False)
    response = sign_in(provider, client)
    assert "closed" in response.content.decode()
    assert "_auth_user_id" not in client.session


def test_an_address_that_only_looks_alike_is_another(provider: Provider, client: Client) -> None:
    make_user("nora", email="mike@heron.example")
    provider.say("m1", email="m\u0131ke@heron.example", email_verified=True)
    refused(sign_in(provider, client, "m1"), "no invitation")


def test_the_way_there_is_guarded_by_pkce_and_a_state(provider: Provider, client: Client) -> None:
    asked = parse_qs(urlsplit(client.get(START)["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    [[state, _since, _provider]] = client.session["socialaccount_states"].values()
    digest = hashlib.sha256(state["pkce_code_verifier"].encode()).digest()
    assert asked["code_challenge"] == [base64.urlsafe_b64encode(digest).decode().rstrip("=")]
    assert asked["redirect_uri"] == ["http://testserver/accounts/oidc/callback/"]
    other = Client().get("/accounts/oidc/callback/", {"code": "x", "state": asked["state"][0]})
    refused(other, "began too long ago, or in another browser")


def test_nobody_is_sent_to_another_site_afterwards(provider: Provider, client: Client) -> None:
    make_user("nora", email=NORA)
    response = sign_in(provider, client, query={"next": "https://evil.example/"})
    assert response.redirect_chain[-1][0] == "/"


def test_calling_it_off_is_no_error(provider: Provider, client: Client) -> None:
    back = provider.authorize(client.get(START)["Location"], action="deny")
    refused(client.get(back), "called off at Heron ID")
    state = parse_qs(urlsplit(client.get(START)["Location"]).query)["state"][0]
    answer = client.get("/accounts/oidc/callback/", {"error": "server_error", "state": state})
    refused(answer, "Heron ID refused")


def test_who_is_signed_in_is_not_swapped(provider: Provider, client: Client) -> None:
    client.force_login(make_user("ann"))
    assert client.get(START)["Location"] == "/"


def test_a_wrong_code_gets_a_page(provider: Provider, client: Client) -> None:
    state = parse_qs(urlsplit(client.get(START)["Location"]).query)["state"][0]
    answer = client.get("/accounts/oidc/callback/", {"code": "x", "state": state})
    assert answer.status_code == 502
    assert "Heron ID does not answer as it should" in answer.content.decode()


def test_a_provider_that_is_away_gets_a_page_and_no_error(
    settings: LazySettings, client: Client
) -> None:
    with running_provider() as gone:
        use(settings, gone.url)
        back = gone.authorize(client.get(START)["Location"], sub="n1")
        gone.stop()
        for path in (START, back):
            answer = client.get(path)
            assert answer.status_code == 502
            assert "Heron ID does not answer as it should" in answer.content.decode()
        assert client.get("/accounts/login/").status_code == 200


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """A server that says the same to everybody; its address."""

    class Same(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body.replace("HERE", f"http://{self.headers['Host']}").encode())

        def log_message(self, *_said: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Same)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


ENDPOINTS = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
WHOLE = dict.fromkeys(ENDPOINTS, "HERE/x")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (200, "nothing that is JSON"),
        (200, "[]"),
        (200, json.dumps({"issuer": "HERE"})),
        (200, json.dumps({"issuer": "HERE", **WHOLE, "token_endpoint": 5})),
        (200, json.dumps({"issuer": "https://another.example", **WHOLE})),
        (302, json.dumps({"issuer": "HERE", **WHOLE})),
        (500, "{}"),
    ],
)
def test_a_provider_that_talks_nonsense_gets_a_page(
    settings: LazySettings, client: Client, status: int, said: str
) -> None:
    with answering(status, said) as url:
        use(settings, url)
        assert client.get(START).status_code == 502


def test_a_whole_answer_of_the_same_server_is_taken(settings: LazySettings, client: Client) -> None:
    with answering(200, json.dumps({"issuer": "HERE/", **WHOLE})) as url:
        use(settings, url)
        assert client.get(START)["Location"].startswith(f"{url}/x?client_id=us")
