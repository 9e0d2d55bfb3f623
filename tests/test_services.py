"""A skip is named where services are missing, and a failure where everything is required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import services
from tests.support import ROOT, data_path, process_environment, require

NOWHERE = {"DATABASE_URL": "postgres://u@127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1/0"}
SKIPPING = """
import pytest
def test_passes():
    assert True
def test_skips():
    pytest.skip("{reason}")
"""


def run_pytest(folder: Path, reason: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A pytest of its own, under this conftest, on one test that passes and one that skips."""
    (folder / "test_planted.py").write_text(SKIPPING.format(reason=reason))
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")]
    return subprocess.run(
        [*command, "-p", "tests.conftest", "-p", "no:cacheprovider", str(folder)],
        cwd=ROOT,
        env=os.environ | {"TEST_ON": "embedded"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_skip_is_named_and_the_run_passes(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "no such service", REQUIRE_ALL="")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no such service" in done.stdout
    assert "runs on SQLite and the file broker" in done.stdout


def test_a_skip_fails_a_run_that_requires_everything(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "no such service", REQUIRE_ALL="1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "these skips are failures" in done.stdout


def test_absent_real_data_never_fail_a_run(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "absent (COUNTERSIGN_DATA)", REQUIRE_ALL="1")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_run_that_requires_everything_does_not_start_without_its_services(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "x", REQUIRE_ALL="1", TEST_ON="services", **NOWHERE)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "PostgreSQL (" in done.stderr
    assert "Redis (" in done.stderr


def test_services_that_cannot_be_reached_are_named_and_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(services, "MISSING", [])
    environment = {"TEST_ON": "services", **NOWHERE}
    services.choose(environment)
    assert environment == {"TEST_ON": "services"}
    assert [line.split()[0] for line in services.MISSING] == ["PostgreSQL", "Redis"]


def test_the_embedded_pass_forgets_the_services() -> None:
    environment = {"TEST_ON": "embedded", **NOWHERE}
    services.choose(environment)
    assert environment == {"TEST_ON": "embedded"}


def test_a_bare_run_takes_the_services_it_is_given() -> None:
    environment = dict(NOWHERE)
    services.choose(environment)
    assert environment == NOWHERE


def test_what_is_required_skips_or_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    require(True, "never said")
    monkeypatch.delenv("REQUIRE_ALL", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no browser"):
        require(None, "no browser")
    monkeypatch.setenv("REQUIRE_ALL", "1")
    with pytest.raises(pytest.fail.Exception, match="no browser"):
        require(None, "no browser")


def test_absent_data_are_named_with_the_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COUNTERSIGN_DATA", str(tmp_path))
    assert data_path() == tmp_path
    with pytest.raises(pytest.skip.Exception, match=r"banking77/test.csv .*COUNTERSIGN_DATA"):
        data_path("banking77", "test.csv")


@pytest.mark.embedded
@pytest.mark.django_db(transaction=True)
def test_a_process_of_a_test_meets_the_rows_of_the_test() -> None:
    from labeling.models import User

    User.objects.create_user("seen-from-outside")
    code = (
        "import django; django.setup()\n"
        "from labeling.models import User\n"
        "print(*User.objects.values_list('username', flat=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=process_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "seen-from-outside", done.stderr
