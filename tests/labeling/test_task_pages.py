"""The pages of the task browser: who sees what, and what they say."""

from __future__ import annotations

import re

import pytest

from labeling.actions.lease import next_task
from labeling.actions.queues import audits_for
from labeling.actions.resolve import resolve, withdraw
from labeling.models import MachineSeen, Member, Project, SupersededText, Task
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_decision,
    make_member,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
)
from tests.labeling.cast import deferred, say
from tests.labeling.test_lease import audited
from tests.labeling.test_pages import LABELS, MACHINE_TRACES, assisted, client_of, page

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project("heron", LABELS, blind_share=0.0, answers_needed=1)


@pytest.fixture
def eve(project: Project) -> Member:
    return make_member(project, "expert", "eve")


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html[html.index("<main") :]))


def accepted(project: Project, name: str = "Charged twice", text: str = "") -> Task:
    task = make_task(project, status="resolved", text=text)
    make_prediction(task)
    run, policy = make_run(project), make_policy(project)
    decision = make_decision(task, run, label_of(project, name), policy=policy)
    resolve(
        task=task, source="auto", by=str(policy), label=label_of(project, name), decision=decision
    )
    return task


@pytest.mark.parametrize("path", ["/p/heron/tasks/", "/p/heron/tasks/{pk}/"])
def test_experts_and_admins_browse_and_others_do_not(project: Project, path: str) -> None:
    path = path.format(pk=deferred(project).pk)
    statuses = {
        role: client_of(make_member(project, role)).get(path).status_code
        for role in ("regular", "expert", "admin")
    }
    assert statuses == {"regular": 403, "expert": 200, "admin": 200}
    assert client_of(make_member(make_project("other"))).get(path).status_code == 404


def test_a_task_of_another_project_is_not_found(project: Project, eve: Member) -> None:
    other = deferred(make_project("other"))
    page(eve, f"/p/heron/tasks/{other.pk}/", 404)
    assert other.text not in page(eve, "/p/heron/tasks/")


def test_the_list_tells_what_machines_said_on_request_alone(project: Project, eve: Member) -> None:
    task = accepted(project, text="twice from my account")
    html = page(eve, "/p/heron/tasks/")
    table = html[html.index("<table") :]
    assert "twice from my account" in table
    assert "accepted by the policy" in table
    assert "Charged twice" not in table
    assert not MachineSeen.objects.exists()
    html = page(eve, "/p/heron/tasks/?machines=on")
    assert "Charged twice" in html[html.index("<table") :]
    assert MachineSeen.objects.get().task == task


def test_a_filter_by_label_counts_as_having_seen_the_machines(
    project: Project, eve: Member
) -> None:
    accepted(project)
    label = label_of(project, "Charged twice")
    assert "accepted by the policy" in page(eve, f"/p/heron/tasks/?label={label.pk}")
    assert MachineSeen.objects.count() == 1


def test_a_label_of_people_is_shown_as_it_is(project: Project, eve: Member) -> None:
    task = deferred(project)
    say(make_member(project, username="ann"), task, "Change plan")
    html = page(eve, "/p/heron/tasks/")
    assert "Change plan" in html[html.index("<table") :]
    assert not MachineSeen.objects.exists()


def test_of_what_an_expert_has_in_hand_blind_only_the_text_is_shown(
    project: Project, eve: Member
) -> None:
    draw = audited(project, "Charged twice")
    make_prediction(draw.task)
    resolve(task=draw.task, source="auto", by="x", label=draw.label, decision=draw.decision)
    lease = next_task(member=eve)
    assert lease is not None
    row = text_of(page(eve, "/p/heron/tasks/?machines=on"))
    assert "to be labeled blind" in row
    assert "accepted by the policy Cl" not in row
    whole = text_of(page(eve, f"/p/heron/tasks/{draw.task_id}/"))
    assert draw.task.text in whole
    assert "waits to be labeled blind" in whole
    for told in ("Charged twice", "policy", "resolved", "Accepted"):
        assert told not in whole
    assert not MachineSeen.objects.exists()


@pytest.mark.parametrize("drawn", [True, False])
def test_a_text_on_which_the_benchmarks_experts_are_not_done_tells_nothing(
    project: Project, eve: Member, drawn: bool
) -> None:
    task = assisted(project)
    make_benchmark_item(task)
    if drawn:
        from labeling.models import BenchmarkDraw, BenchmarkItem

        draw = BenchmarkDraw.objects.create(
            project=project, part="tune", sampling="random", seed="s", population=1, drawn=1
        )
        BenchmarkItem.objects.update(draw=draw, inclusion_probability=1.0)
    Task.objects.filter(pk=task.pk).update(status="disputed")
    for who in (eve, make_member(project, "admin")):
        html = page(who, f"/p/heron/tasks/{task.pk}/")
        assert [trace for trace in MACHINE_TRACES if trace in html] == []
        assert "SIM not seen" not in html


def test_to_open_a_task_is_to_have_seen_the_machines(project: Project, eve: Member) -> None:
    draw = audited(project, "Charged twice")
    assert audits_for(eve).count() == 1
    page(eve, f"/p/heron/tasks/{draw.task_id}/")
    assert audits_for(eve).count() == 0


def test_the_page_of_a_task_tells_everything_in_order(project: Project, eve: Member) -> None:
    task = assisted(project)
    make_prediction(task, [3.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    SupersededText.objects.create(task=task, revision=1, text="the old text")
    policy = make_policy(project)
    make_decision(task, task.rankings.get().run, None, policy=policy, reason="low_confidence")
    ann = make_member(project, username="ann")
    say(ann, task, "Charged twice", comment="says so", seconds=3.2, visible={"blind": True})
    withdraw(task=task, reason="answers changed", by=ann)
    resolve(task=task, source="adjudicated", by=eve, label=label_of(project, "SIM not seen"))
    html = text_of(page(eve, f"/p/heron/tasks/{task.pk}/"))
    told = [
        f"The text came in as “{task.external_id}”",
        "Predicted “SIM not seen” with",
        "the old text",
        f"Left it to people: not confident enough. Run {task.rankings.get().run_id}",
        "Answered (label): “Charged twice”.",
        "Blind: nothing of the machines was in view.",
        "It took 3.2 seconds.",
        "says so",
        "Now stands: “Charged twice” (one person).",
        "“Charged twice” stands no more: people's answers changed. "
        "The task is now waiting for people.",
        "Now stands: “SIM not seen” (adjudicated).",
    ]
    html = html.replace("&#x27;", "'")
    story = html[html.index("What happened") :]
    assert [one for one in told if one not in story] == []
    places = [story.index(one) for one in (told[0], told[1], told[4], told[8], told[9], told[10])]
    assert places == sorted(places)
    assert [
        trace for trace in ("llama-judge", "61.4%", "Because of the card") if trace not in html
    ] == []
    assert "Wipe the contacts" in html
    assert "2 labels stood so far" in html


def test_an_audit_that_waits_is_told_nowhere(project: Project, eve: Member) -> None:
    draw = audited(project, "Charged twice")
    assert "audit" not in text_of(page(eve, f"/p/heron/tasks/{draw.task_id}/")).lower()
    fay = make_member(project, "expert", "fay")
    say(fay, draw.task, "Charged twice", purpose="audit", visible={"blind": True})
    html = text_of(page(eve, f"/p/heron/tasks/{draw.task_id}/"))
    assert "Answered (audit): “Charged twice”." in html
    assert "was right" in html


def test_the_address_holds_the_filter_and_goes_on_from_page_to_page(
    project: Project, eve: Member
) -> None:
    for number in range(60):
        deferred(project, text=f"text {number:02} here")
    html = page(eve, "/p/heron/tasks/?q=here&status=deferred&nonsense=1")
    assert "60 tasks" in html
    assert "text 59" in html
    assert "text 09" not in html
    found = re.search(r'href="\?([^"]*below=\d+)"', html)
    assert found is not None
    assert "nonsense" not in found.group(1)
    html = page(eve, "/p/heron/tasks/?" + found.group(1).replace("&amp;", "&"))
    assert "text 09" in html
    assert "text 59" not in html
    assert 'value="here"' in html
    assert "60 tasks" in html


def test_a_mistake_in_the_filter_is_said_and_the_rest_is_looked_for(
    project: Project, eve: Member
) -> None:
    deferred(project, text="here")
    html = page(eve, "/p/heron/tasks/?q=here&low=700&run=abc&label=999&below=x&annotator=9%00")
    assert "errorlist" in html
    assert "1 task" in html
    assert client_of(eve).get("/p/heron/tasks/?q=%00").status_code == 200


def test_more_than_can_be_counted_is_said_so(
    project: Project, eve: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    from labeling.views import tasks

    monkeypatch.setattr(tasks, "COUNTED", 2)
    for _ in range(3):
        deferred(project)
    assert "over 2 tasks" in page(eve, "/p/heron/tasks/")


def test_what_people_and_machines_write_is_escaped(project: Project, eve: Member) -> None:
    task = deferred(project, text="<script>x</script>", external_id="<b>id")
    say(make_member(project), task, "Change plan", comment="<i>note</i>")
    for path in ("", f"{task.pk}/"):
        html = page(eve, f"/p/heron/tasks/{path}")
        for bad in ("<script>x", "<b>id", "<i>note"):
            assert bad not in html
