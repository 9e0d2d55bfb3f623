"""Kinds of LLM validators in the product: registered, asked, refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import LazySettings

from labeling import dispatch
from labeling.actions.registration import ask_again
from labeling.models import Decision, Project, Verdict
from tests.pipeline import world
from tests.pipeline.test_commands import command, refusal
from tests.pipeline.test_stages import check_all_accounted_for
from tests.random_llm import make_random

pytestmark = pytest.mark.django_db


@pytest.fixture
def models(tmp_path: Path, settings: LazySettings) -> Path:
    """The folder of models, with one that knows nothing."""
    settings.LOCAL_MODELS_DIR = str(tmp_path)
    make_random(tmp_path / "tiny")
    return tmp_path


def register(*more: str) -> str:
    return command("register_validator", world.SLUG, "--name", "own", "--model", "tiny", *more)


def refused(*more: str) -> str:
    return refusal("register_validator", world.SLUG, "--name", "own", "--model", "tiny", *more)


def test_a_model_in_a_folder_answers_without_any_server(shop: Project, models: Path) -> None:
    said = register("--kind", "transformers", "--bias", "shifts-2")
    assert "Route: forward_pass. It reads 2048 tokens at a time." in said
    assert "asked 2 times for each task" in said
    truth = world.send_stream(shop)
    world.work_off()
    check_all_accounted_for(shop)
    verdicts = Verdict.objects.filter(validator__kind="llm")
    assert verdicts.count() == len(truth)
    assert {verdict.route for verdict in verdicts} == {"forward_pass"}
    assert all(len(verdict.calls) == 2 for verdict in verdicts)
    assert "Unchanged: “own” v1" in register("--kind", "transformers", "--bias", "shifts-2")


def test_a_validator_that_the_command_registered_is_probed_again_as_it_is(
    shop: Project, models: Path, tmp_path: Path
) -> None:
    how = tmp_path / "how.txt"
    how.write_text("Take the narrower label.")
    asking = ["--shots", "2", "--no-look-alikes", "--instructions", str(how), "--language", "ru"]
    register("--kind", "transformers", "--bias", "shifts-2", "--context", "2000", *asking)
    before = shop.validators.get(kind="llm")
    row = ask_again(validator=before, by="test")
    dispatch.run_here("work_on_registration", registration_id=row.pk)
    row.refresh_from_db()
    assert row.said == "Nothing has changed: version 1 was in use like this before."
    assert row.validator == before
    assert row.options["context"] == 2000


def test_a_model_whose_files_are_gone_leaves_its_tasks_to_people(
    shop: Project, models: Path
) -> None:
    register("--kind", "transformers")
    (models / "tiny").rename(models / "moved")
    world.send(shop, [("x", "where is my parcel")])
    world.work_off()
    check_all_accounted_for(shop)
    verdict = Verdict.objects.get(validator__kind="llm")
    assert "holds no model “tiny”" in verdict.failure
    assert Decision.objects.get().outcome == "defer"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--kind", "transformers", "--url", "http://127.0.0.1:1/v1"), "has no address"),
        (("--kind", "openai"), "needs the server's address"),
        ((), "needs the server's address"),
        (("--kind", "transformers", "--context", "300"), "reads 300 tokens at a time"),
        (("--kind", "openai", "--url", "http://gpu9:1/v1"), "“gpu9” is not on the list"),
        (("--kind", "decisions", "--url", "http://gpu9:1/v1"), "“gpu9” is not on the list"),
        (("--kind", "vllm_offline"), "vLLM is not installed in this environment"),
    ],
)
def test_what_does_not_go_together_is_refused(
    shop: Project, models: Path, more: tuple[str, ...], words: str
) -> None:
    assert words in refused(*more)
    assert not shop.validators.filter(kind="llm").exists()
