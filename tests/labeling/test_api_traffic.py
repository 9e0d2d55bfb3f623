"""What passes over the wire: packed bodies, tags of answers, how many requests a token may send."""

from __future__ import annotations

import gzip
import io
import json
import time
import zlib
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from redis.exceptions import ConnectionError as RedisAway
from rest_framework.exceptions import ParseError
from rest_framework.test import APIClient

from labeling.api.encoding import BLOCK, TooMuch, plain_blocks
from labeling.models import Project, Role, Task
from tests.labeling.builders import make_member, make_project, make_task
from tests.labeling.rest import client_as, user_of

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]
SHOP = "/api/v1/projects/shop/"


@pytest.fixture
def project() -> Project:
    return make_project()


@pytest.fixture
def admin(project: Project) -> APIClient:
    return client_as(project, Role.ADMIN)


def batch() -> bytes:
    item = {"external_id": "t/1", "text": "hello", "logits": [3.0, 0.5, 0.1]}
    return json.dumps({"model_version": "m1", "items": [item]}).encode()


def packed(admin: APIClient, body: bytes, encoding: str = "gzip") -> Any:
    return admin.generic(
        "POST",
        f"{SHOP}predictions/",
        body,  # type: ignore[arg-type]  # bytes go as they are
        content_type="application/json",
        headers={"Content-Encoding": encoding},
    )


# --- Packed requests -----------------------------------------------------------------------------


def test_a_batch_may_come_as_gzip(admin: APIClient) -> None:
    assert packed(admin, gzip.compress(batch())).json()["created"] == 1
    half = len(batch()) // 2
    members = gzip.compress(batch()[:half]) + gzip.compress(batch()[half:])
    assert packed(admin, members).json()["unchanged"] == 1


def test_a_small_body_that_unpacks_to_a_large_one_is_refused(
    admin: APIClient, settings: Any
) -> None:
    settings.INGEST_MAX_BYTES = 200_000
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < settings.INGEST_MAX_BYTES
    answer = packed(admin, bomb)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"
    assert not Task.objects.exists()


def test_no_more_of_a_bomb_is_unpacked_than_is_taken() -> None:
    stream = io.BytesIO(gzip.compress(b"x" * 100 * BLOCK))
    blocks = plain_blocks(stream, "gzip", 3 * BLOCK)
    assert [len(next(blocks)) for _ in range(3)] == [BLOCK] * 3
    with pytest.raises(TooMuch):
        next(blocks)


@pytest.mark.parametrize(
    ("body", "encoding", "status", "words"),
    [
        (b"no gzip at all", "gzip", 400, "not gzip"),
        (gzip.compress(batch())[:-9], "gzip", 400, "ends too early"),
        (zlib.compress(batch()), "deflate", 415, "deflate"),
    ],
    ids=["no gzip", "cut short", "another packing"],
)
def test_what_cannot_be_unpacked_is_refused_in_words(
    admin: APIClient, body: bytes, encoding: str, status: int, words: str
) -> None:
    answer = packed(admin, body, encoding)
    assert answer.status_code == status
    assert words in answer.json()["error"]["message"]


def test_an_empty_gzip_body_is_nothing_and_no_error() -> None:
    assert b"".join(plain_blocks(io.BytesIO(gzip.compress(b"")), "gzip", 10)) == b""
    with pytest.raises(ParseError):
        b"".join(plain_blocks(io.BytesIO(gzip.compress(b"")[:5]), "gzip", 10))


# --- Packed answers ------------------------------------------------------------------------------


def test_answers_of_the_api_are_packed_for_who_takes_gzip(
    project: Project, admin: APIClient
) -> None:
    for number in range(20):
        make_task(project, external_id=f"t/{number}", text="the same words " * 5)
    plain = admin.get(f"{SHOP}tasks/")
    answer = admin.get(f"{SHOP}tasks/", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(answer.content)) == plain.json()
    assert len(answer.content) < len(plain.content)

    lines = admin.get(f"{SHOP}export/?format=jsonl", headers={"Accept-Encoding": "gzip"})
    assert lines.headers["Content-Encoding"] == "gzip"
    rows = gzip.decompress(b"".join(lines.streaming_content)).splitlines()  # type: ignore[attr-defined]
    assert [json.loads(row)["external_id"] for row in rows][:1] == ["t/0"]

    table = admin.get(f"{SHOP}export/?format=parquet", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in table.headers


def test_pages_which_hold_the_token_of_a_form_are_never_packed(project: Project) -> None:
    client = Client()
    client.force_login(user_of(make_member(project, "admin")))
    page = client.get("/p/shop/settings/", headers={"Accept-Encoding": "gzip"})
    assert page.status_code == 200
    assert b"csrfmiddlewaretoken" in page.content
    assert "Content-Encoding" not in page.headers


# --- ETags ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "labels/", "tasks/", "tasks/t/1/", "runs/"])
def test_what_a_reader_has_is_not_sent_again(project: Project, admin: APIClient, path: str) -> None:
    make_task(project, external_id="t/1", text="some text")
    first = admin.get(SHOP + path)
    tag = first.headers["ETag"]
    assert "private" in first.headers["Cache-Control"]
    again = admin.get(SHOP + path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["ETag"] == tag
    weak = admin.get(SHOP + path, headers={"If-None-Match": f"W/{tag}"})
    assert weak.status_code == 304


def test_a_change_changes_the_tag(admin: APIClient) -> None:
    tag = admin.get(SHOP).headers["ETag"]
    admin.patch(SHOP, {"name": "Another name"})
    answer = admin.get(SHOP, headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.json()["name"] == "Another name"


def test_a_tag_opens_no_door(project: Project, admin: APIClient) -> None:
    tag = admin.get(SHOP).headers["ETag"]
    stranger = client_as(make_project("other"), Role.ADMIN)
    assert stranger.get(SHOP, headers={"If-None-Match": tag}).status_code == 404


def test_settings_are_not_overwritten_by_who_has_not_seen_them(admin: APIClient) -> None:
    seen = admin.get(SHOP).headers["ETag"]
    first = admin.patch(SHOP, {"name": "One"}, headers={"If-Match": seen})
    assert first.status_code == 200
    second = admin.patch(SHOP, {"name": "Two"}, headers={"If-Match": seen})
    assert second.status_code == 412
    assert second.json()["error"]["code"] == "changed_meanwhile"
    assert admin.get(SHOP).json()["name"] == "One"
    now = admin.get(SHOP, headers={"Accept-Encoding": "gzip"}).headers["ETag"]
    assert now.startswith("W/")
    assert admin.patch(SHOP, {"name": "Two"}, headers={"If-Match": now}).status_code == 200


def test_labels_are_not_overwritten_by_who_has_not_seen_them(admin: APIClient) -> None:
    url = f"{SHOP}labels/"
    seen = admin.get(url).headers["ETag"]
    wanted = {"labels": ["a", "b", "d"]}
    stale = admin.put(url, wanted, headers={"If-Match": '"of another time"'})
    assert stale.status_code == 412
    assert admin.put(url, wanted, headers={"If-Match": seen}).status_code == 200
    assert admin.put(url, wanted, headers={"If-Match": seen}).status_code == 412
    assert admin.put(url, wanted, headers={"If-Match": "*"}).status_code == 200


# --- How many requests ---------------------------------------------------------------------------


@pytest.fixture
def a_minute(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands still, twenty seconds into a minute that no other test has."""
    monkeypatch.setattr(time, "time", lambda: 60.0 * 1000 + 20.0)


def test_a_token_that_asks_too_often_waits_and_another_one_does_not(
    project: Project, admin: APIClient, settings: Any, a_minute: None
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 3
    assert [admin.get(SHOP).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = admin.get(SHOP)
    assert refused.headers["Retry-After"] == "40"
    assert refused.json()["error"]["code"] == "throttled"
    assert client_as(project, Role.ADMIN).get(SHOP).status_code == 200


def test_the_next_minute_counts_anew(
    admin: APIClient, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 1
    for minute, expected in ((2000, [200, 429]), (2001, [200, 429])):
        monkeypatch.setattr(time, "time", lambda at=minute: 60.0 * at)
        assert [admin.get(SHOP).status_code for _ in range(2)] == expected


def test_a_cache_that_is_away_stops_nobody(
    admin: APIClient, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 1

    def away(*_arguments: object, **_more: object) -> None:
        raise RedisAway("refused")

    monkeypatch.setattr(cache, "add", away)
    assert [admin.get(SHOP).status_code for _ in range(3)] == [200, 200, 200]


def test_no_limit_counts_nothing(
    admin: APIClient, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.API_REQUESTS_PER_MINUTE = 0
    counted: list[str] = []
    monkeypatch.setattr(cache, "add", lambda key, *_rest: counted.append(key))
    assert admin.get(SHOP).status_code == 200
    assert counted == []
