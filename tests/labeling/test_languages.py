"""Pages in the reader's language: who chooses it, what remembers it, and what it changes."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client
from django.utils.formats import date_format
from django.utils.translation import override

from labeling.models import Member, Project, User
from tests.labeling.builders import make_member, make_project

pytestmark = pytest.mark.django_db

CHOOSE = "/account/language/"


@pytest.fixture
def project() -> Project:
    return make_project("heron", ("Метка", "Label"))


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


def language(client: Client, path: str = "/accounts/login/", **headers: str) -> str:
    html = client.get(path, headers=headers).content.decode()
    return html.split('<html lang="')[1].split('"')[0]


def signed_in(member: Member) -> Client:
    client = Client()
    assert member.user is not None
    client.force_login(member.user)
    return client


@pytest.mark.parametrize(
    ("asked", "spoken"), [("", "en"), ("ru-RU,en;q=0.5", "ru"), ("zh-CN", "zh-hans"), ("de", "en")]
)
def test_a_stranger_is_spoken_to_in_the_language_of_the_browser(asked: str, spoken: str) -> None:
    assert language(Client(), **{"accept-language": asked}) == spoken


def test_a_choice_on_the_sign_in_page_holds_for_this_browser() -> None:
    client = Client()
    said = client.post(CHOOSE, {"language": "ru", "next": "/accounts/login/"})
    assert (said.status_code, said["Location"]) == (302, "/accounts/login/")
    assert language(client, **{"accept-language": "zh-CN"}) == "ru"


def test_a_choice_of_somebody_signed_in_goes_along_to_another_browser(ann: Member) -> None:
    signed_in(ann).post(CHOOSE, {"language": "zh-hans", "next": "/p/heron/"})
    assert User.objects.get(username="ann").language == "zh-hans"
    other = signed_in(ann)
    assert language(other, "/p/heron/", **{"accept-language": "ru"}) == "zh-hans"
    other.post(CHOOSE, {"language": "en"})
    assert language(other, "/p/heron/", **{"accept-language": "ru"}) == "en"


def test_a_language_that_the_site_does_not_speak_is_not_kept(ann: Member) -> None:
    client = signed_in(ann)
    client.post(CHOOSE, {"language": "xx"})
    assert User.objects.get(username="ann").language == ""
    assert language(client, "/p/heron/") == "en"


def test_a_choice_leads_to_no_other_site_and_is_made_by_post_alone() -> None:
    said = Client().post(CHOOSE, {"language": "ru", "next": "https://example.org/"})
    assert said["Location"] == "/"
    assert Client().get(CHOOSE).status_code == 405


@pytest.mark.parametrize("path", ["/accounts/login/", "/p/heron/", "/p/heron/annotate/"])
def test_every_page_offers_the_languages_in_their_own_words(ann: Member, path: str) -> None:
    client = Client() if "login" in path else signed_in(ann)
    html = client.get(path).content.decode()
    assert 'value="en" lang="en" aria-current="true">English</button>' in html
    assert 'value="ru" lang="ru">Русский</button>' in html
    assert 'value="zh-hans" lang="zh-hans">简体中文</button>' in html


def test_refusals_of_the_api_keep_their_code_in_every_language(ann: Member) -> None:
    for asked in ("en", "ru", "zh-CN"):
        said = signed_in(ann).get("/api/v1/projects/none/", headers={"accept-language": asked})
        assert (said.status_code, said.json()["error"]["code"]) == (404, "not_found")
        assert said["Content-Language"] == {"zh-CN": "zh-hans"}.get(asked, asked)


@pytest.mark.parametrize(
    ("code", "written"),
    [("en", "5 Nov 2026, 17:04"), ("ru", "05.11.2026 17:04"), ("zh-hans", "2026年11月5日 17:04")],
)
def test_dates_are_written_as_the_language_writes_them(code: str, written: str) -> None:
    with override(code):
        moment = datetime(2026, 11, 5, 17, 4, tzinfo=UTC)
        assert date_format(moment, "SHORT_DATETIME_FORMAT") == written


def test_the_sign_in_form_speaks_the_words_of_our_catalogues() -> None:
    html = Client().get("/accounts/login/", headers={"accept-language": "zh-CN"}).content.decode()
    assert '<label for="id_login">账号</label>' in html
    assert 'placeholder="用户名或电子邮件地址"' in html
