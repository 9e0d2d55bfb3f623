"""Failures that workers stored in English are shown in the reader's language."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from django.utils import translation

from labeling.models import PlanRow, Project, Stage
from labeling.views.failures import KNOWN, PLACE, in_words
from llm_worker.errors import ServerAwayError
from tests.labeling.builders import make_member, make_prediction, make_project, make_run, make_task
from tests.labeling.rest import user_of
from tests.labeling.test_pages import client_of
from tests.support import ROOT

AWAY = "http://llm:8000/v1 cannot be reached: timed out."


def in_russian(stored: str) -> str:
    with translation.override("ru"):
        return in_words(stored)


def said_in_the_code() -> Iterator[str]:
    """Every string of the code that stores failures, with * for each value."""
    folders = ("llm_worker", "labeling/actions")
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = node.values
                yield "".join(str(p.value) if isinstance(p, ast.Constant) else "*" for p in parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield PLACE.sub("*", node.value)


def test_each_known_sentence_is_said_so_somewhere_in_the_code() -> None:
    said = set(said_in_the_code())
    missing = [known for known in KNOWN if PLACE.sub("*", known) not in said]
    assert missing == []


@pytest.mark.parametrize("language", ["ru", "zh-hans"])
def test_each_known_sentence_is_found_again_whatever_its_values(language: str) -> None:
    for known in KNOWN:
        values = {name: 7 if kind == "d" else f"<{name}>" for name, kind in PLACE.findall(known)}
        stored = known % values
        with translation.override("en"):
            assert in_words(stored) == stored
        with translation.override(language):
            words = in_words(stored)
            assert words == translation.gettext(known) % values
        assert words != stored, "it is not translated"
        for value in values.values():
            assert str(value) in words


def test_a_name_before_the_sentence_stays_and_a_kind_of_error_goes() -> None:
    russian = in_russian(AWAY)
    assert re.search("[а-я]", russian)
    error = ServerAwayError(AWAY)
    assert in_russian(f"{type(error).__name__}: {error}") == russian
    assert in_russian(f"judge: {AWAY}") == f"judge: {russian}"
    left_alone = f"{AWAY} It failed 5 times in a row and is left alone for 30 more seconds."
    assert in_russian(left_alone).startswith(russian)
    assert "It failed" not in in_russian(left_alone)


@pytest.mark.parametrize(
    "stored",
    ["", "%", "%(url)s", "An older version said this.", "judge: 100 % broken", f"{AWAY} " * 200],
)
def test_what_is_not_known_is_shown_as_it_is_stored(stored: str) -> None:
    assert in_russian(stored) == stored


@pytest.mark.django_db
def test_the_page_of_a_run_says_its_failures_in_the_readers_language() -> None:
    project: Project = make_project("heron")
    expert = make_member(project, "expert")
    run = make_run(project)
    for failure in (f"ServerAwayError: {AWAY}", "An older version said this."):
        prediction = make_prediction(make_task(project))
        row = {"task": prediction.task, "prediction": prediction, "revision": 1}
        PlanRow.objects.create(run=run, **row, stage=Stage.DONE, failure=failure)
    user = user_of(expert)
    user.language = "ru"
    user.save()
    with translation.override("en"):  # the page leaves its own language behind
        page = client_of(expert).get(f"/p/heron/runs/{run.pk}/").content.decode()
    assert in_russian(AWAY) in page
    assert AWAY not in page
    assert "An older version said this." in page
