"""Signing in: attempts are counted in every process, and sessions can be ended."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from allauth.usersessions.models import UserSession
from django.conf import LazySettings
from django.core.cache import cache
from django.test import Client

from labeling.actions.people import end_membership, end_sessions
from labeling.models import User
from tests.labeling.builders import make_member, make_project, make_user
from tests.support import ROOT, clear_cache, process_environment

pytestmark = pytest.mark.django_db
LOGIN = "/accounts/login/"


@pytest.fixture(autouse=True)
def nothing_counted() -> Iterator[None]:
    clear_cache()
    yield
    clear_cache()


@pytest.fixture
def ann() -> User:
    return make_user("ann")


def sign_in(password: str = "password", **extra: str) -> Client:
    client = Client(**extra)  # type: ignore[arg-type]
    client.post(LOGIN, {"login": "ann", "password": password})
    return client


def is_in(client: Client) -> bool:
    return client.get("/").status_code == 200


def test_who_guesses_a_password_has_to_wait_wherever_they_come_from(ann: User) -> None:
    for number in range(5):
        assert not is_in(sign_in("wrong", REMOTE_ADDR=f"192.0.2.{number}"))
    assert not is_in(sign_in(REMOTE_ADDR="192.0.2.99"))
    clear_cache()
    assert is_in(sign_in(REMOTE_ADDR="192.0.2.99"))


def test_an_address_that_signs_in_too_often_is_told_to_wait(ann: User) -> None:
    for _attempt in range(30):
        Client().post(LOGIN, {"login": "nobody", "password": "x"})
    response = Client().post(LOGIN, {"login": "ann", "password": "password"})
    assert response.status_code == 429
    assert "Wait a few minutes" in response.content.decode()


def test_behind_a_proxy_the_address_is_the_last_that_the_proxy_names(
    ann: User, settings: LazySettings
) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    sign_in(HTTP_X_FORWARDED_FOR="192.0.2.7, 198.51.100.4")
    assert UserSession.objects.get().ip == "198.51.100.4"


def test_a_forwarded_address_is_not_believed_without_a_proxy(ann: User) -> None:
    sign_in(HTTP_X_FORWARDED_FOR="198.51.100.4")
    assert UserSession.objects.get().ip == "127.0.0.1"


def test_the_administration_has_no_sign_in_of_its_own(ann: User) -> None:
    response = Client().get("/admin/login/", follow=True)
    assert response.redirect_chain[0][0].startswith(LOGIN)
    assert Client().post("/admin/login/", {"username": "ann", "password": "x"}).status_code == 302


def test_what_one_process_counts_another_sees(tmp_path_factory: pytest.TempPathFactory) -> None:
    cache.set("attempts", [1.0, 2.0], 60)
    code = (
        "import django; django.setup()\n"
        "from django.core.cache import cache; print(cache.get('attempts'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=process_environment(DJANGO_SETTINGS_MODULE="annotation_site.settings"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[1.0, 2.0]"


def test_a_session_is_ended_from_another_and_only_ones_own(ann: User) -> None:
    phone, desk = sign_in(HTTP_USER_AGENT="phone"), sign_in(HTTP_USER_AGENT="desk")
    html = desk.get("/account/sessions/").content.decode()
    assert "phone" in html
    assert html.index("desk") < html.index("phone")
    of_phone = UserSession.objects.get(user_agent="phone")
    stranger = Client()
    stranger.force_login(make_user("eve"))
    stranger.post("/account/sessions/end/", {"session": of_phone.pk})
    assert is_in(phone)
    assert "phone" not in stranger.get("/account/sessions/").content.decode()
    desk.post("/account/sessions/end/", {"session": of_phone.pk})
    assert not is_in(phone)
    assert is_in(desk)


def test_all_other_sessions_end_and_this_one_stays(ann: User) -> None:
    others, here = [sign_in(), sign_in()], sign_in()
    html = here.post("/account/sessions/end/", follow=True).content.decode()
    assert "2 sessions are ended" in html
    assert [is_in(one) for one in others] == [False, False]
    assert is_in(here)
    broken = here.post("/account/sessions/end/", {"session": "x"}, follow=True)
    assert "not here any more" in broken.content.decode()


def test_a_changed_password_ends_the_sessions_with_the_old_one(ann: User) -> None:
    other, here = sign_in(), sign_in()
    new = {"oldpassword": "password", "password1": "kestrel-over-7", "password2": "kestrel-over-7"}
    assert here.post("/accounts/password/change/", new).status_code == 302
    assert not is_in(other)


def test_the_end_of_a_membership_ends_the_sessions() -> None:
    project = make_project()
    member, admin = make_member(project, username="ann"), make_member(project, "admin")
    client = sign_in()
    end_membership(member=member, by=admin)
    assert not is_in(client)
    assert member.user is not None
    assert end_sessions(user=member.user) == 0
