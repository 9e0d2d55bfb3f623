"""The page that shows prompts: who may see it, what it says, and that it says it safely."""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
from django.db import IntegrityError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling.actions.errors import ActionRefused
from labeling.actions.previews import LOST_AFTER, PATIENCE, look_after_previews, request_preview
from labeling.models import Event, Project, PromptPreview, Role, Task, Validator
from tests.labeling.builders import (
    make_artifact,
    make_member,
    make_project,
    make_task,
    make_validator,
)
from tests.labeling.test_admin_reranker import MARKUP, shown, signed_in

pytestmark = pytest.mark.django_db

PROMPT = "You check labels.\n\n[TEXT]\n| where is it\n> be strict\n[/TEXT]"


@pytest.fixture
def project() -> Project:
    return make_project("shop", ("a", "b"))


@pytest.fixture
def llm(project: Project) -> Validator:
    return make_validator(project, name="qwen")


@pytest.fixture
def client(project: Project) -> Client:
    return signed_in(make_member(project, Role.ADMIN))


def page_of(project: Project) -> str:
    return reverse("admin:labeling_project_prompts", args=[project.pk])


def preview_of(preview: PromptPreview, project: Project | None = None) -> str:
    owner = project or preview.task.project
    return reverse("admin:labeling_project_prompt", args=[owner.pk, preview.pk])


def made(task: Task, llm: Validator, **fields: Any) -> PromptPreview:
    content = {
        "status": "done",
        "messages": [
            {"role": "user", "content": PROMPT},
            {"role": "assistant", "content": "[ANSWER]"},
        ],
        "tokens": 1234,
        "cut": ["documents", "text"],
        "prompt_hash": "f" * 64,
        "notes": ["The candidates are those of run 3."],
    }
    return PromptPreview.objects.create(
        task=task, revision=task.revision, validator=llm, **{**content, **fields}
    )


# --- Who comes in -------------------------------------------------------------------------------


def test_admins_of_other_projects_experts_and_strangers_do_not_come_in(
    project: Project, llm: Validator
) -> None:
    preview = made(make_task(project), llm)
    urls = (page_of(project), preview_of(preview))
    stranger = signed_in(make_member(make_project("other"), Role.ADMIN))
    expert = signed_in(make_member(project, Role.EXPERT))
    for url in urls:
        assert stranger.get(url).status_code == 404
        assert stranger.post(url, {}).status_code in (404, 405)
        assert expert.get(url).status_code == 404
        assert Client().get(url).status_code == 302


def test_a_preview_is_not_shown_under_another_project(client: Client, project: Project) -> None:
    other = make_project("other")
    theirs = made(make_task(other), make_validator(other, name="theirs"))
    assert client.get(preview_of(theirs, project)).status_code == 404


def test_the_page_is_linked_from_the_project(client: Client, project: Project) -> None:
    make_task(project)
    change = reverse("admin:labeling_project_change", args=[project.pk])
    assert f'href="{page_of(project)}"' in client.get(change).content.decode()
    overview = reverse("labeling:overview", args=[project.slug])
    assert f'href="{page_of(project)}"' in client.get(overview).content.decode()


# --- Asking -------------------------------------------------------------------------------------


def test_a_prompt_is_asked_for_and_waited_for(
    client: Client, project: Project, llm: Validator
) -> None:
    task = make_task(project, "x/1")
    answer = client.post(page_of(project), {"validator": llm.pk, "task": " x/1 "}, follow=True)
    preview = PromptPreview.objects.get()
    assert (preview.task, preview.validator, preview.status) == (task, llm, "waiting")
    assert answer.redirect_chain == [(preview_of(preview), 302)]
    content = answer.content.decode()
    assert f'hx-get="{preview_of(preview)}" hx-trigger="every 2s"' in content
    assert "A worker puts the prompt together." in content
    event = Event.objects.get(verb="prompt_preview_requested")
    assert event.new == {"task": task.pk, "validator": llm.pk}


@pytest.mark.parametrize(("given", "said"), [("nobody", "no task “nobody”"), ("", "required")])
def test_a_task_that_is_not_there_is_said_in_words(
    client: Client, project: Project, llm: Validator, given: str, said: str
) -> None:
    answer = client.post(page_of(project), {"validator": llm.pk, "task": given})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not PromptPreview.objects.exists()


def test_only_llms_in_use_of_this_project_can_be_chosen(client: Client, project: Project) -> None:
    make_task(project, "x")
    local = make_validator(project, name="near", kind="knn", artifact=make_artifact(project))
    retired = make_validator(project, name="old", active=False)
    theirs = make_validator(make_project("other"), name="theirs")
    for wrong in (local, retired, theirs):
        answer = client.post(page_of(project), {"validator": wrong.pk, "task": "x"})
        assert answer.status_code == 422
    assert "No LLM is in use in this project." in shown(client, page_of(project))


def test_asking_again_leaves_the_newest_alone(project: Project, llm: Validator) -> None:
    task = make_task(project)
    made(task, llm)
    newest = request_preview(task=task, validator=llm, by="test")
    assert list(PromptPreview.objects.all()) == [newest]


def test_what_cannot_have_a_prompt_is_refused(project: Project, llm: Validator) -> None:
    local = make_validator(project, name="near", kind="knn", artifact=make_artifact(project))
    with pytest.raises(ActionRefused, match="is no LLM: it is shown no prompt"):
        request_preview(task=make_task(project), validator=local, by="test")
    with pytest.raises(ActionRefused, match="of different projects"):
        request_preview(task=make_task(make_project("other")), validator=llm, by="test")


# --- What is shown ------------------------------------------------------------------------------


def test_the_prompt_is_shown_word_for_word_with_its_figures(
    client: Client, project: Project, llm: Validator
) -> None:
    preview = made(make_task(project, "x"), llm)
    content = client.get(preview_of(preview)).content.decode()
    assert "hx-trigger" not in content
    assert '<div class="tag">[TEXT]</div><div class="data">| where is it</div>' in content
    assert '<div class="own">&gt; be strict</div>' in content
    assert re.search(r"The answer, begun for it</h2>\s*<div[^>]*><div class=\"tag\">", content)
    text = shown(client, preview_of(preview))
    assert "Tokens 1,234" in text
    assert "Cut documents, the text" in text
    assert "The candidates are those of run 3." in text
    assert "f" * 64 in text
    assert "1234" in shown(client, page_of(project))


def test_htmx_gets_the_part_alone(client: Client, project: Project, llm: Validator) -> None:
    preview = made(make_task(project), llm)
    part = client.get(preview_of(preview), headers={"HX-Request": "true"}).content.decode()
    assert part.strip().startswith('<div class="stack" id="prompt"')
    assert "<html" not in part


def test_tokens_that_were_not_counted_and_failures_are_said_in_words(
    client: Client, project: Project, llm: Validator
) -> None:
    uncounted = made(make_task(project), llm, tokens=None, cut=[])
    text = shown(client, preview_of(uncounted))
    assert "Tokens not counted Cut not known" in text
    failed = PromptPreview.objects.create(
        task=make_task(project), revision=1, validator=llm, status="failed", failure="No luck."
    )
    text = shown(client, preview_of(failed))
    assert "There is no prompt to show. No luck." in text


def test_an_older_text_is_marked(client: Client, project: Project, llm: Validator) -> None:
    preview = made(make_task(project), llm)
    Task.objects.update(revision=2)
    assert "The task has got another text since." in shown(client, preview_of(preview))


def test_markup_is_shown_as_it_is(client: Client, project: Project) -> None:
    llm = make_validator(project, name=MARKUP)
    preview = made(
        make_task(project, MARKUP),
        llm,
        messages=[{"role": MARKUP, "content": f"{MARKUP}\n| {MARKUP}"}],
        cut=[MARKUP],
        notes=[MARKUP],
    )
    for url in (page_of(project), preview_of(preview)):
        content = client.get(url).content.decode()
        assert MARKUP not in content
        assert "&lt;script&gt;" in content


# --- What is kept -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "failed", "prompt_hash": ""},
        {"status": "done", "prompt_hash": ""},
        {"status": "waiting"},
        {"status": "done", "failure": "why"},
        {"status": "lost"},
    ],
)
def test_a_preview_waits_is_made_or_failed(
    project: Project, llm: Validator, wrong: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError):
        made(make_task(project), llm, **wrong)


def test_one_preview_of_a_task_for_a_validator(project: Project, llm: Validator) -> None:
    task = make_task(project)
    made(task, llm)
    with pytest.raises(IntegrityError):
        made(task, llm)


def test_lost_messages_are_sent_again_and_what_nobody_makes_ends_in_words(
    project: Project, llm: Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr("labeling.dispatch.preview_prompt", asked.append)
    old, lost, fresh = (
        request_preview(task=make_task(project), validator=llm, by="test") for _ in range(3)
    )
    asked.clear()
    age(old, PATIENCE)
    age(lost, LOST_AFTER)
    look_after_previews()
    assert asked == [lost.pk]
    old.refresh_from_db()
    assert (old.status, old.failure) == (
        "failed",
        "No worker of the queue “llm” took it up within ten minutes.",
    )
    fresh.refresh_from_db()
    assert fresh.status == "waiting"


def age(preview: PromptPreview, by: datetime.timedelta) -> None:
    then = timezone.now() - by - datetime.timedelta(seconds=5)
    PromptPreview.objects.filter(pk=preview.pk).update(created_at=then)
