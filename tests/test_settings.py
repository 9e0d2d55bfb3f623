"""The settings file, run under chosen environments: what it takes, refuses, and defaults to."""

from __future__ import annotations

import runpy
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import Client

from annotation_site.embedded import install_secret
from tests.support import ROOT

PRODUCTION = {
    "ENVIRONMENT": "production",
    "SECRET_KEY": "k" * 64,
    "ALLOWED_HOSTS": "countersign.example.org",
}
VARIABLES = (
    *("ALLOWED_HOSTS", "DATABASE_URL", "DEBUG", "ENCODER", "ENVIRONMENT", "REDIS_PREFIX"),
    *("REDIS_URL", "SECRET_KEY", "SWEEP_SECONDS", "VALIDATOR_HOSTS"),
)


class Settings:
    """Runs `settings.py` afresh, away from the settings of this test run."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path) -> None:
        self.patch, self.folder = patch, folder

    def __call__(self, **variables: str) -> dict[str, Any]:
        for name in VARIABLES:
            self.patch.delenv(name, raising=False)
        self.patch.setenv("VAR_DIR", str(self.folder))
        for name, value in variables.items():
            self.patch.setenv(name, value)
        return runpy.run_path(str(ROOT / "annotation_site" / "settings.py"))


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:
    return Settings(monkeypatch, tmp_path)


def test_without_variables_everything_stays_in_one_folder(load: Settings, tmp_path: Path) -> None:
    settings = load()
    database = settings["DATABASES"]["default"]
    assert settings["DEBUG"] is False
    assert database["NAME"] == tmp_path / "countersign.sqlite3"
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert settings["CELERY_BROKER_URL"] == "filesystem://localhost"
    assert str(tmp_path) in settings["CELERY_BROKER_TRANSPORT_OPTIONS"]["data_folder_in"]
    assert settings["ARTIFACTS_DIR"] == tmp_path / "artifacts"
    assert "example" not in settings["ALLOWED_HOSTS"]
    assert "localhost" in settings["ALLOWED_HOSTS"]


def test_services_are_taken_from_their_urls(load: Settings) -> None:
    settings = load(DATABASE_URL="postgres://u:p@db:5433/c", REDIS_URL="redis://cache:6379/1")
    database = settings["DATABASES"]["default"]
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db", 5433, "c")
    assert database["CONN_HEALTH_CHECKS"] is True
    assert settings["CELERY_BROKER_URL"] == "redis://cache:6379/1"
    assert settings["CACHES"]["default"]["LOCATION"] == "redis://cache:6379/1"
    assert "CELERY_BROKER_TRANSPORT" not in settings


def test_production_is_served_over_tls_only(load: Settings) -> None:
    settings = load(**PRODUCTION)
    for name in ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE"):
        assert settings[name] is True, name
    assert settings["SECURE_HSTS_SECONDS"] >= 31_536_000
    assert "Manifest" in settings["STORAGES"]["staticfiles"]["BACKEND"]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        (PRODUCTION | {"SECRET_KEY": ""}, "SECRET_KEY is not set; production needs one"),
        (PRODUCTION | {"ALLOWED_HOSTS": ""}, "ALLOWED_HOSTS is not set;"),
        (PRODUCTION | {"DEBUG": "1"}, "DEBUG is on while ENVIRONMENT is production;"),
        ({"ENVIRONMENT": "staging"}, "it must be one of embedded, production."),
        ({"DATABASE_URL": "mysql://db/c"}, "DATABASE_URL must start with postgres://"),
        ({"REDIS_URL": "localhost:6379"}, "REDIS_URL must start with redis://"),
        ({"SWEEP_SECONDS": "0"}, "SWEEP_SECONDS is 0; it must lie between 0.2 and 3600.0."),
    ],
)
def test_a_wrong_value_stops_the_start(
    load: Settings, variables: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        load(**variables)
    assert sentence in str(refused.value)


def test_the_key_of_an_installation_is_random_private_and_stays(tmp_path: Path) -> None:
    key = install_secret(tmp_path / "a")
    assert len(key) >= 50
    assert install_secret(tmp_path / "a") == key
    assert install_secret(tmp_path / "b") != key
    assert stat.S_IMODE((tmp_path / "a" / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["secret_key"]


def test_processes_that_start_together_agree_on_the_key(tmp_path: Path) -> None:
    barrier, keys = threading.Barrier(8), []

    def start() -> None:
        barrier.wait()
        keys.append(install_secret(tmp_path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_every_page_carries_a_strict_content_policy(client: Client) -> None:
    policy = client.get("/accounts/login/").headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe-inline" not in policy
    assert "frame-ancestors 'none'" in policy


def test_only_the_api_documentation_may_style_inline(client: Client) -> None:
    policy = client.get("/api/v1/docs/").headers["Content-Security-Policy"]
    assert "style-src 'self' 'unsafe-inline'" in policy
    assert "default-src 'self'" in policy
    assert "script-src" not in policy


@pytest.mark.django_db
def test_nobody_signs_up_alone(client: Client) -> None:
    page = client.get("/accounts/signup/")
    assert b'name="password1"' not in page.content
    client.post(
        "/accounts/signup/",
        {"username": "eve", "password1": "long enough 1", "password2": "long enough 1"},
    )
    assert not client.login(username="eve", password="long enough 1")


@pytest.mark.django_db  # closing a response that streams looks at the connection
def test_static_files_are_served_without_collecting_them(client: Client) -> None:
    response = client.get("/static/admin/css/base.css")
    assert response.status_code == 200
    assert b"".join(response).startswith(b"/*")
    response.close()
