"""The pages: who may see them, what they hold back, and what they say."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from labeling.actions.lease import next_task
from labeling.language import language_of
from labeling.models import (
    Annotation,
    ApiToken,
    Document,
    Lease,
    Member,
    PlanRow,
    Project,
    Reasoning,
    Retrieved,
    Task,
    Verdict,
)
from labeling.views.search import label_index
from tests.labeling.builders import (
    label_of,
    make_artifact,
    make_member,
    make_prediction,
    make_project,
    make_run,
    make_validator,
)
from tests.labeling.cast import deferred, ranked, say
from tests.labeling.test_lease import audited

pytestmark = pytest.mark.django_db

LABELS: list[str | dict[str, Any]] = [
    {
        "name": "SIM not seen",
        "description": "The phone does not find the card.",
        "examples": ["телефон не видит симку"],
        "counter_examples": [{"text": "how do I activate it", "label": "Activate a SIM"}],
    },
    {"name": "Activate a SIM", "description": "Bring a new card to life."},
    {"name": "Charged twice", "description": "The same month was taken two times."},
    {"name": "退款", "description": "退款进度"},
    {"name": "Cancel contract"},
    {"name": "Change plan"},
]


@pytest.fixture
def project() -> Project:
    return make_project("heron", LABELS, blind_share=0.0)


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann")


def client_of(member: Member) -> Client:
    client = Client()
    assert member.user is not None
    client.force_login(member.user)
    return client


def assisted(project: Project, text: str = "my phone sees no card") -> Task:
    """A deferred task with everything that machines can add to it."""
    task = deferred(project, text=text)
    ranking = ranked(task, "SIM not seen", "Charged twice", "Activate a SIM")
    llm = make_validator(project, name="llama-judge")
    option = str(label_of(project, "SIM not seen").pk)
    verdict = {"question": "multiclass", "probabilities": {option: 0.6137, "unk": 0.1}, "mass": 1.0}
    Verdict.objects.create(run=ranking.run, task=task, revision=1, validator=llm, **verdict)
    Reasoning.objects.create(task=task, revision=1, validator=llm, text="Because of the card.")
    document = Document.objects.create(
        project=project, external_id="d1", title="Wipe the contacts", text="t", content_hash="h"
    )
    Retrieved.objects.create(
        task=task,
        revision=1,
        index=make_artifact(project, "document_index"),
        document=document,
        rank=1,
        score=1.0,
        passage="Wipe them with a dry cloth.",
    )
    return task


MACHINE_TRACES = (
    "llama-judge",
    "61%",
    "Because of the card",
    "Wipe the contacts",
    "dry cloth",
    "<svg aria-hidden",
    "classifier",
    "rect width",
)


def page(member: Member, path: str, status: int = 200) -> str:
    response = client_of(member).get(path)
    assert response.status_code == status
    return response.content.decode()


def fields(html: str) -> dict[str, Any]:
    """The hidden fields of the answer form."""
    form = html[html.index('id="answer"') :]
    form = form[: form.index("</form>")]
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: value for name, value in found if name != "csrfmiddlewaretoken"}


PAGES = [
    ("/p/heron/", (200, 200, 200)),
    ("/p/heron/annotate/", (200, 200, 200)),
    ("/p/heron/annotate/labels/?q=sim", (200, 200, 200)),
    ("/p/heron/history/", (200, 200, 200)),
    ("/p/heron/runs/", (200, 200, 200)),
    ("/p/heron/adjudicate/", (403, 200, 200)),
    ("/p/heron/marks/", (403, 200, 200)),
    ("/p/heron/bulk/", (200, 200, 200)),
    ("/p/heron/guidelines/", (200, 200, 200)),
    ("/p/heron/guidelines/edit/", (403, 403, 200)),
    ("/p/heron/guidelines/versions/", (403, 403, 200)),
]


@pytest.mark.parametrize(("path", "statuses"), PAGES)
def test_each_role_sees_its_pages_and_outsiders_none(
    project: Project, path: str, statuses: tuple[int, ...]
) -> None:
    assisted(project)
    for role, status in zip(("regular", "expert", "admin"), statuses, strict=True):
        page(make_member(project, role), path, status)
    page(make_member(make_project("other")), path, 404)
    response = Client().get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")


def test_posts_are_closed_to_outsiders(project: Project) -> None:
    outsider = client_of(make_member(make_project("other")))
    for path in (
        "annotate/",
        "annotate/undo/",
        "annotate/hold/",
        "annotate/leave/",
        "history/notes/read/",
        "adjudicate/",
        "annotate/skip/",
        "annotate/bring-back/",
        "annotate/flag/",
        "annotate/keep/",
        "bulk/",
        "marks/1/close/",
        "guidelines/read/",
        "guidelines/edit/",
    ):
        assert outsider.post(f"/p/heron/{path}").status_code == 404


def test_the_task_comes_with_candidates_documents_verdicts_and_reasons(
    project: Project, ann: Member
) -> None:
    assisted(project)
    html = page(ann, "/p/heron/annotate/")
    assert [trace for trace in MACHINE_TRACES if trace not in html] == []
    names = re.findall(r'data-key="\d" data-name="([^"]+)"', html)
    assert names[:3] == ["SIM not seen", "Charged twice", "Activate a SIM"]
    assert "The phone does not find the card." in html


@pytest.mark.parametrize(
    "settings", [{"blind_share": 1.0}, {"assistance": "hidden"}, {"assistance": "after_first"}]
)
def test_nothing_of_the_machines_is_in_the_page_when_they_are_hidden(
    project: Project, ann: Member, settings: dict[str, Any]
) -> None:
    Project.objects.filter(pk=project.pk).update(**settings)
    assisted(project)
    html = page(ann, "/p/heron/annotate/")
    assert [trace for trace in MACHINE_TRACES if trace in html] == []
    assert "SIM not seen" in html


@pytest.mark.parametrize("settings", [{"blind_share": 1.0}, {"assistance": "after_first"}])
def test_tasks_that_wait_in_the_page_and_in_replies_are_as_blind(
    project: Project, ann: Member, settings: dict[str, Any]
) -> None:
    Project.objects.filter(pk=project.pk).update(**settings)
    for place in range(3):
        deferred(project, text="the first", priority=place == 0)
    assisted(project)
    client = client_of(ann)
    html = client.get("/p/heron/annotate/").content.decode()
    assert html.count('class="next"') == 2
    sent = fields(html) | {"choice": f"label:{label_of(project, 'Change plan').pk}"}
    response = client.post("/p/heron/annotate/", sent, headers={"HX-Request": "true"})
    html = response.content.decode()
    assert response.status_code == 200
    assert "my phone sees no card" in html
    assert [trace for trace in MACHINE_TRACES if trace in html] == []


def test_what_waits_in_the_page_is_fixed_by_its_lease(project: Project, ann: Member) -> None:
    deferred(project, text="the first", priority=1.0)
    assisted(project)
    client = client_of(ann)
    html = client.get("/p/heron/annotate/").content.decode()
    assert [trace for trace in MACHINE_TRACES if trace not in html] == []
    second = Lease.objects.get(task__text__contains="my phone")
    assert second.visible["blind"] is False
    Project.objects.filter(pk=project.pk).update(blind_share=1.0)
    again = client.get("/p/heron/annotate/").content.decode()
    assert again.count("The phone does not") == html.count("The phone does not")


def test_a_reply_brings_what_the_page_lacks_and_names_what_it_holds_in_vain(
    project: Project, ann: Member
) -> None:
    tasks = [deferred(project, priority=-place) for place in range(5)]
    client = client_of(ann)
    html = client.get("/p/heron/annotate/").content.decode()
    held = list(Lease.objects.order_by("pk"))
    assert [lease.task for lease in held] == tasks[:3]
    Task.objects.filter(pk=tasks[2].pk).update(status="resolved")
    sent = fields(html) | {"choice": "unk:bad_data", "held": [held[1].pk, held[2].pk]}
    response = client.post("/p/heron/annotate/", sent, headers={"HX-Request": "true"})
    reply = response.content.decode()
    assert f'data-gone="{held[2].pk} "' in reply
    assert re.findall(r'data-task="(\d+)"', reply) == [str(tasks[3].pk), str(tasks[4].pk)]
    assert held[2] in Lease.objects.all()


def test_a_page_of_another_member_sends_nothing(project: Project, ann: Member) -> None:
    assisted(project)
    sent = fields(page(ann, "/p/heron/annotate/")) | {"choice": "unk:bad_data"}
    bob = client_of(make_member(project))
    for path in ("annotate/", "annotate/undo/", "annotate/hold/"):
        response = bob.post(f"/p/heron/{path}", sent, headers={"HX-Request": "true"})
        assert response.status_code == 403
        assert "Somebody else is signed in" in response.content.decode()
    assert Annotation.objects.count() == 0


def test_an_answer_sent_again_is_saved_whatever_changed_since(
    project: Project, ann: Member
) -> None:
    assisted(project)
    client = client_of(ann)
    label = label_of(project, "Change plan")
    sent = fields(client.get("/p/heron/annotate/").content.decode())
    sent |= {"choice": f"label:{label.pk}"}
    for _ in range(2):
        response = client.post("/p/heron/annotate/", sent, headers={"HX-Request": "true"})
        assert response.status_code == 200
        label.retired_at = timezone.now()
        label.save(update_fields=["retired_at"])
        Task.objects.update(revision=2)
    assert Annotation.objects.count() == 1


def test_leaving_frees_the_tasks_and_coming_back_shows_the_same(
    project: Project, ann: Member
) -> None:
    Project.objects.filter(pk=project.pk).update(answers_needed=1)
    assisted(project)
    client = client_of(ann)
    client.get("/p/heron/annotate/")
    lease = Lease.objects.get()
    assert client.post("/p/heron/annotate/leave/", {"held": [lease.pk]}).status_code == 204
    assert not Lease.objects.live().exists()
    client.post("/p/heron/annotate/hold/", {"held": [lease.pk]})
    assert Lease.objects.live().get().visible == lease.visible


def test_an_audit_looks_like_a_blind_task(project: Project) -> None:
    eve = make_member(project, "expert", "eve")
    Project.objects.filter(pk=project.pk).update(blind_share=1.0)
    draw = audited(project, "Charged twice")
    audit = page(eve, "/p/heron/annotate/")
    assert draw.task.text in audit
    say(eve, draw.task, "Charged twice", purpose="audit")
    plain = deferred(project)
    ordinary = page(eve, "/p/heron/annotate/")

    assert "<b>1</b> left" in audit
    assert "<b>1</b> left" in ordinary

    def skeleton(html: str, task: Task) -> str:
        html = html.replace(task.text, "TEXT")
        html = re.sub(r'(name="csrfmiddlewaretoken"|X-CSRFToken)[^>]*>', "", html)
        html = re.sub(r'value="[0-9a-f-]{36}"|value="\d*"', "", html)
        return re.sub(r"<b>\d+</b>", "", html)

    assert skeleton(audit, draw.task) == skeleton(ordinary, plain)
    assert "audit" not in without_menu(audit).lower()
    html = page(eve, "/p/heron/history/")
    assert draw.task.text in html
    assert "audit" not in without_menu(html).lower()


def without_menu(html: str) -> str:
    """The page without the project's menu, which names the page Audit to experts whatever their
    task is."""
    return re.sub(r"<nav\b.*?</nav>", "", html, flags=re.DOTALL)


def test_help_that_waits_for_the_answer_is_shown_with_it_unless_blind(
    project: Project, ann: Member
) -> None:
    Project.objects.filter(pk=project.pk).update(assistance="after_first")
    task = assisted(project)
    lease = next_task(member=ann)
    assert lease is not None
    outcome = say(ann, task, "Charged twice", visible=lease.visible)
    path = f"/p/heron/history/{outcome.annotation.pk}/"
    html = page(ann, path)
    assert [trace for trace in MACHINE_TRACES if trace not in html] == []
    Annotation.objects.update(visible=lease.visible | {"blind": True})
    html = page(ann, path)
    assert [trace for trace in MACHINE_TRACES if trace in html] == []


def test_an_answer_is_stored_with_what_was_visible_and_a_plain_form_goes_on(
    project: Project, ann: Member
) -> None:
    task = assisted(project)
    client = client_of(ann)
    sent = fields(client.get("/p/heron/annotate/").content.decode())
    visible = Lease.objects.get().visible
    sent |= {"choice": "unk:no_context", "seconds": "3.25", "comment": "too short"}
    response = client.post("/p/heron/annotate/", sent)
    assert response.status_code == 302
    stored = Annotation.objects.get()
    assert (stored.task, stored.answer, stored.unk_reason) == (task, "unk", "no_context")
    assert (stored.seconds, stored.comment, stored.visible) == (3.25, "too short", visible)
    assert client.post("/p/heron/annotate/", sent).status_code == 302
    assert Annotation.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({"choice": "label:999999"}, 422, "not one of the project"),
        ({"choice": "unk:lazy"}, 422, "not one of the project"),
        ({"choice": ""}, 422, "required"),
        ({"choice": "yes"}, 422, "is one of"),
        ({"client_id": "x"}, 422, "arrived broken"),
        ({"seconds": "-1"}, 422, "arrived broken"),
        ({"seconds": "nan"}, 422, "arrived broken"),
        ({"revision": "7"}, 409, "changed while you read"),
        ({"task": "999999"}, 409, "not here any more"),
    ],
)
def test_a_refused_answer_leaves_the_task_and_says_why(
    project: Project, ann: Member, change: dict[str, str], status: int, sentence: str
) -> None:
    assisted(project)
    client = client_of(ann)
    sent = fields(client.get("/p/heron/annotate/").content.decode())
    sent |= {"choice": "unk:bad_data"} | change
    response = client.post("/p/heron/annotate/", sent, headers={"HX-Request": "true"})
    assert response.status_code == status
    assert response["HX-Retarget"] == "#notice"
    assert sentence in response.content.decode()
    response = client.post("/p/heron/annotate/", sent)
    assert response.status_code == status
    assert sentence in response.content.decode()
    assert Annotation.objects.count() == 0


def test_a_late_answer_whose_lease_is_gone_is_kept(project: Project, ann: Member) -> None:
    assisted(project)
    client = client_of(ann)
    sent = fields(client.get("/p/heron/annotate/").content.decode())
    Lease.objects.all().delete()
    client.post("/p/heron/annotate/", sent | {"choice": "unk:bad_data"})
    assert Annotation.objects.get().visible == {"unknown": "the lease was gone"}


def test_taking_back_shows_the_task_again_with_the_answer_marked(
    project: Project, ann: Member
) -> None:
    assisted(project)
    client = client_of(ann)
    sent = fields(client.get("/p/heron/annotate/").content.decode())
    choice = f"label:{label_of(project, 'Charged twice').pk}"
    client.post("/p/heron/annotate/", sent | {"choice": choice})
    html = client.post("/p/heron/annotate/undo/", headers={"HX-Request": "true"}).content.decode()
    assert 'class="next again"' in html
    assert "my phone sees no card" in html
    assert f'value="{choice}" data-key="2" data-name="Charged twice" data-chosen' in html
    refused = client.post("/p/heron/annotate/undo/", headers={"HX-Request": "true"})
    assert refused.status_code == 422
    assert "no answer of yours" in refused.content.decode()


def test_a_yes_or_no_question_names_its_label(project: Project, ann: Member) -> None:
    asked = label_of(project, "Charged twice")
    deferred(project, question="binary", asked_label=asked)
    client = client_of(ann)
    html = client.get("/p/heron/annotate/").content.decode()
    assert "Does this label hold?" in html
    assert "The same month was taken two times." in html
    client.post("/p/heron/annotate/", fields(html) | {"choice": "yes"})
    stored = Annotation.objects.get()
    assert (stored.question, stored.asked_label, stored.answer) == ("binary", asked, "yes")


def test_several_labels_can_be_ticked_where_allowed(project: Project, ann: Member) -> None:
    Project.objects.filter(pk=project.pk).update(allow_conf=True)
    assisted(project)
    client = client_of(ann)
    sent = fields(client.get("/p/heron/annotate/").content.decode())
    pks = [label_of(project, name).pk for name in ("Charged twice", "Cancel contract")]
    client.post("/p/heron/annotate/", sent | {"choice": "conf", "conf": pks})
    assert sorted(Annotation.objects.get().conf_labels.values_list("pk", flat=True)) == sorted(pks)


def test_texts_and_names_are_escaped_and_marked_with_their_language(
    project: Project, ann: Member
) -> None:
    deferred(project, text="<script>alert(1)</script> не работает интернет совсем, помогите")
    html = page(ann, "/p/heron/annotate/")
    assert "<script>alert" not in html
    assert '<p dir="auto" lang="ru">&lt;script&gt;alert' in html


def test_a_text_from_right_to_left_runs_so_whatever_it_begins_with(
    project: Project, ann: Member
) -> None:
    deferred(project, text="SIM: הטלפון שלי לא רואה את הכרטיס")
    assert '<p dir="rtl" lang="he">SIM: ' in page(ann, "/p/heron/annotate/")


CHAT = [
    {"speaker": "customer", "text": "hello"},
    {"speaker": "<agent>", "text": "what is it?"},
    {"speaker": "customer", "text": "My card!"},
]


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("my  card!", [("hello", ""), ("what is it?", " other"), ("My card!", "to-label")]),
        (
            "else",
            [("hello", ""), ("what is it?", " other"), ("My card!", ""), ("else", "to-label")],
        ),
    ],
)
def test_a_conversation_has_its_speakers_apart_and_the_text_to_label_marked(
    project: Project, ann: Member, text: str, layout: list[tuple[str, str]]
) -> None:
    deferred(project, text=text, turns=CHAT)
    html = page(ann, "/p/heron/annotate/")
    turns = re.findall(r'<li class="([^"]*)">.*?<p[^>]*>(.*?)</p></li>', html)
    assert [(said, side) for side, said in turns] == layout
    assert html.count("the text to label</span>") == 1
    assert "<agent>" not in html


def test_words_of_the_text_are_marked_in_the_passages_and_what_surrounds_them_is_escaped(
    project: Project, ann: Member
) -> None:
    assisted(project, text="wiping <i>cloths</i>")
    Retrieved.objects.update(passage="<script>Wipe</script> it with a cloth.")
    html = page(ann, "/p/heron/annotate/")
    assert "&lt;script&gt;<mark>Wipe</mark>&lt;/script&gt; it with a <mark>cloth</mark>." in html


def test_pages_hold_no_inline_script_or_style(project: Project) -> None:
    admin = make_member(project, "admin")
    assisted(project)
    for path in ("/", "/p/heron/", "/p/heron/annotate/", "/p/heron/runs/", "/account/tokens/"):
        html = page(admin, path)
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", html)
    html = Client().get("/accounts/login/").content.decode()
    assert not re.search(r"<script|<style|\sstyle=|\son\w+=", html)


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "No text has arrived"),
        ("processing", "machines are at work on 1 text"),
        ("disputed", "waits for an expert"),
        ("resolved", "1 text is resolved"),
    ],
)
def test_an_empty_queue_says_why(
    project: Project, ann: Member, state: str | None, words: str
) -> None:
    if state:
        deferred(project)
        Task.objects.update(status=state)
    html = page(ann, "/p/heron/annotate/")
    assert "Nothing waits for you" in html
    assert words in html


def test_who_answered_everything_is_told_that_others_must(project: Project, ann: Member) -> None:
    say(ann, deferred(project), "Charged twice")
    html = page(ann, "/p/heron/annotate/")
    assert "you have answered it" in html


def test_an_expert_sees_who_said_what_and_settles(project: Project, ann: Member) -> None:
    simulated = make_member(project, name="Marta", is_simulated=True)
    eve = make_member(project, "expert", "eve")
    task = assisted(project)
    say(simulated, task, "Change plan")
    say(ann, task, "unk:needs_expert", comment="two wishes")
    client = client_of(eve)
    html = client.get("/p/heron/adjudicate/").content.decode()
    for words in ("Marta (simulated)", "two wishes", "needs an expert", *MACHINE_TRACES):
        assert words in html
    sent = fields(html) | {"choice": f"label:{label_of(project, 'Change plan').pk}"}
    assert client.post("/p/heron/adjudicate/", sent).status_code == 302
    task.refresh_from_db()
    assert task.status == "resolved"
    refused = client.post("/p/heron/adjudicate/", sent | {"client_id": str(uuid.uuid4())})
    assert refused.status_code == 422
    assert "disputed no more" in refused.content.decode()


def test_an_answer_can_be_changed_by_its_owner_alone(project: Project, ann: Member) -> None:
    outcome = say(ann, assisted(project), "Charged twice")
    path = f"/p/heron/history/{outcome.annotation.pk}/"
    page(make_member(project), path, 404)
    client = client_of(ann)
    html = client.get(path).content.decode()
    client.post(path, fields(html) | {"choice": f"label:{label_of(project, 'Change plan').pk}"})
    assert Annotation.objects.current().get().label == label_of(project, "Change plan")


def test_a_run_shows_its_progress_until_it_ends(project: Project) -> None:
    eve, ann = make_member(project, "expert"), make_member(project)
    run = make_run(project, planned=2)
    for stage in ("done", "validate"):
        task = deferred(project)
        prediction = make_prediction(task)
        PlanRow.objects.create(run=run, task=task, revision=1, prediction=prediction, stage=stage)
    path = f"/p/heron/runs/{run.pk}/"
    html = page(eve, path)
    assert "1 of 2 tasks are through" in html
    assert "every 2s" in html
    assert "Decisions" in html
    assert "Decisions" not in page(ann, path)
    fragment = client_of(eve).get(path, headers={"HX-Request": "true"}).content.decode()
    assert fragment.strip().startswith("<div")
    run.plan_rows.update(stage="done")
    run.status, run.completed_at = "completed", run.created_at
    run.save(update_fields=["status", "completed_at"])
    html = page(eve, path)
    assert "Completed." in html
    assert "hx-trigger" not in html
    other = make_run(make_project("other"))
    page(eve, f"/p/heron/runs/{other.pk}/", 404)


def test_the_overview_tells_machine_output_to_experts_only(project: Project) -> None:
    assisted(project)
    assert "What the machines left" in page(make_member(project, "expert"), "/p/heron/")
    assert "What the machines left" not in page(make_member(project), "/p/heron/")


def test_the_project_list_shows_ones_own(project: Project, ann: Member) -> None:
    make_project("other")
    html = page(ann, "/")
    assert "/p/heron/" in html
    assert "/p/other/" not in html


def test_a_token_is_shown_once_and_can_be_revoked(project: Project, ann: Member) -> None:
    client = client_of(ann)
    made = client.post("/account/tokens/", {"name": "loader", "scopes": ["read", "ingest"]})
    found = re.search(r"cs_[\w-]{30,}", made.content.decode())
    assert found is not None
    assert "no-store" in made["Cache-Control"]
    assert found[0] not in client.get("/account/tokens/").content.decode()
    token = ApiToken.objects.get()
    assert token.scopes == ["ingest", "read"]
    stranger = client_of(make_member(project))
    assert stranger.post(f"/account/tokens/{token.pk}/revoke/").status_code == 404
    client.post(f"/account/tokens/{token.pk}/revoke/")
    token.refresh_from_db()
    assert not token.is_valid()
    assert client.post("/account/tokens/", {"name": ""}).status_code == 422


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("charged", "Charged twice"),
        ("chrged twise", "Charged twice"),
        ("симка", "SIM not seen"),
        ("СИМКУ", "SIM not seen"),
        ("退", "退款"),
        ("month", "Charged twice"),
        ("sim activate", "Activate a SIM"),
    ],
)
def test_search_finds_a_label_by_name_meaning_example_and_with_a_typo(
    project: Project, query: str, first: str
) -> None:
    assert label_index(project).find(query)[0].name == first


def test_search_finds_nothing_for_nonsense_and_all_for_nothing(project: Project) -> None:
    index = label_index(project)
    assert index.find("zzzzqq") == []
    assert index.find("  ") == list(index.cards.values())


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("не работает", "ru"),
        ("не працює інтернет", "uk"),
        ("我的卡坏了", "zh"),
        ("カードが壊れた", "ja"),
        ("카드가 고장", "ko"),
        ("my card broke, да", ""),
        ("12345 !!!", ""),
    ],
)
def test_letters_tell_the_language_where_they_can(text: str, language: str) -> None:
    assert language_of(text) == language
