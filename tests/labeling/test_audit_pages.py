"""The pages and addresses of audit and benchmark: who sees what, and what can be done there."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client

from labeling.actions.benchmark_draw import draw_benchmark
from labeling.actions.benchmark_parts import look_at_part, part_report
from labeling.actions.errors import ActionRefused
from labeling.actions.monitor import check_policies
from labeling.models import Alarm, BenchmarkAnswer, BenchmarkItem, Member, Policy, Project, Task
from tests.labeling.builders import (
    label_of,
    make_artifact,
    make_benchmark_item,
    make_member,
    make_prediction,
    make_project,
    make_task,
)
from tests.labeling.cast import deferred, say
from tests.labeling.rest import client_as
from tests.labeling.test_monitor_policies import active, observe
from tests.labeling.test_pages import client_of, page

pytestmark = pytest.mark.django_db
API = "/api/v1/projects/heron"


@pytest.fixture
def project() -> Project:
    return make_project("heron", ["a", "b", "c"])


@pytest.fixture
def admin(project: Project) -> Member:
    return make_member(project, "admin", "root")


@pytest.fixture
def policy(project: Project) -> Policy:
    return active(project)


@pytest.mark.parametrize("path", ["/p/heron/audit/", "/p/heron/benchmark/"])
def test_experts_and_admins_come_in_and_nothing_breaks_while_all_is_empty(
    project: Project, path: str
) -> None:
    for role, status in (("regular", 403), ("expert", 200), ("admin", 200)):
        page(make_member(project, role), path, status)
    page(make_member(make_project("other")), path, 404)
    assert Client().get(path).status_code == 302
    regular = page(make_member(project), "/p/heron/")
    assert "/audit/" not in regular
    assert "/benchmark/" not in regular


def test_the_audit_page_says_in_words_and_figures_how_the_promise_stands(
    admin: Member, policy: Policy
) -> None:
    observe(policy, [False] * 12 + [True])
    html = page(admin, "/p/heron/audit/")
    assert "Not known yet" in html
    assert "13 audits are observed; 29 are the fewest" in html
    assert "at most 10.0%" in html
    assert html.count('<svg class="sequence') == 2
    assert "send them back to people" in html
    expert = make_member(policy.project, "expert", "ida")
    assert "What can be done" not in page(expert, "/p/heron/audit/")
    page(admin, "/p/heron/audit/?policy=999", 404)
    page(admin, "/p/heron/audit/?policy=x", 404)


def test_an_alarm_is_shown_and_acted_on(admin: Member, policy: Policy) -> None:
    observe(policy, [False] * 3, "b")
    observe(policy, [True] * 14)
    check_policies()
    client = client_of(admin)

    def do(**data: object) -> str:
        form = {"policy": policy.version, **data}
        response = client.post("/p/heron/audit/act/", form, follow=True)
        assert response.status_code == 200
        return response.content.decode()

    html = page(admin, "/p/heron/audit/")
    assert "Does not hold" in html
    assert "the policy was paused" in html
    assert "Send back only the 14 tasks of the labels at fault" in html
    a = label_of(policy.project, "a").pk
    assert "14 tasks went back to people" in do(do="send_back", label=a)
    made = policy.send_backs.get()
    assert "14 labels stand again" in do(do="undo", send_back=made.pk)
    assert "undone already" in do(do="undo", send_back=made.pk)
    assert "accepts again" in do(do="resume")
    assert "not paused" in do(do="resume")
    assert "accepts nothing from now on" in do(do="pause")
    assert "Say what was done" in do(do="close", note="")
    assert "The alarm is closed" in do(do="close", note="model replaced")
    assert "model replaced" in page(admin, "/p/heron/audit/")
    assert client.post("/p/heron/audit/act/", {"policy": 1, "do": "nothing"}).status_code == 404
    expert = client_of(make_member(policy.project, "expert", "ida"))
    assert expert.post("/p/heron/audit/act/", {"policy": 1, "do": "pause"}).status_code == 403


def test_no_page_names_a_task_whose_audit_waits(admin: Member, policy: Policy) -> None:
    draw = observe(policy, [False])[0].draw
    draw.answered_at = None
    draw.save(update_fields=["answered_at"])
    draw.observations.update(current=False)
    html = page(admin, "/p/heron/audit/")
    for hidden in (draw.task.text, draw.task.external_id):
        assert hidden not in html
    answer = client_as(policy.project, "expert").get(f"{API}/audit/")
    assert draw.task.external_id not in answer.content.decode()


def test_the_audit_is_read_and_acted_on_over_rest(admin: Member, policy: Policy) -> None:
    observe(policy, [True] * 14)
    check_policies()
    expert, boss = client_as(policy.project, "expert"), client_as(policy.project, "admin")
    found = expert.get(f"{API}/audit/").json()
    assert (found["level"], found["observed"], found["standing"]) == ("bad", 14, 14)
    assert found["labels"][0]["label"] == "a"
    assert found["alarm"]["did"] == "paused"
    assert found["sequence"][-1]["low"] > 0.1
    assert client_as(policy.project, "regular").get(f"{API}/audit/").status_code == 403
    sent = f"{API}/audit/sent-back/"
    body = {"policy": policy.version}
    assert boss.post(sent, {**body, "preview": True}).json()["count"] == 14
    assert expert.post(sent, body).status_code == 403
    assert boss.post(sent, {**body, "labels": ["zz"]}).status_code == 400
    made = boss.post(sent, {**body, "labels": ["a"]})
    assert (made.status_code, made.json()["count"]) == (201, 14)
    assert expert.get(sent).json()["results"][0]["id"] == made.json()["id"]
    assert boss.post(f"{sent}{made.json()['id']}/undo/").json()["restored"] == 14
    version = f"{API}/policies/{policy.version}"
    assert boss.post(f"{version}/resume/").json()["paused_at"] is None
    assert boss.post(f"{version}/resume/").status_code == 422
    assert boss.post(f"{version}/pause/").json()["paused_at"] is not None
    alarm = Alarm.objects.get()
    close = f"{API}/audit/alarms/{alarm.pk}/close/"
    assert boss.post(close, {"note": "seen"}).json()["closed_by"] is not None
    assert expert.get(f"{API}/audit/alarms/").json()["results"][0]["note"] == "seen"
    assert expert.get(f"{API}/audit/?policy=999").status_code == 404


# --- Benchmark ----------------------------------------------------------------------------------


def labeled(project: Project, pairs: list[tuple[str, str]], part: str = "certify") -> list[Task]:
    """Drawn texts with the answers of two experts each."""
    eve, fay = (make_member(project, "expert", name) for name in ("eve", "fay"))
    tasks = [deferred(project) for _ in pairs]
    for task in tasks:
        make_prediction(task)
    draw_benchmark(project=project, part=part, n=len(pairs), by="test")
    for task, answers in zip(tasks, pairs, strict=True):
        for expert, what in zip((eve, fay), answers, strict=True):
            say(expert, task, what, purpose="benchmark", visible={"blind": True})
    return tasks


def test_a_part_that_is_a_settled_random_sample_of_agreeing_experts_can_certify(
    project: Project, admin: Member
) -> None:
    labeled(project, [("a", "a"), ("b", "b"), ("c", "c"), ("a", "a")])
    report = part_report(project, "certify")
    assert report.obstacles == []
    assert (report.items, report.settled, report.open) == (4, 4, 0)
    assert (report.agreement.value, report.agreement.tasks) == (1.0, 4)
    html = page(admin, "/p/heron/benchmark/")
    assert "Can certify" in html
    assert "over 4 texts with two answers" in html


def test_what_is_open_chosen_or_trained_on_bars_a_part(project: Project) -> None:
    make_benchmark_item(make_task(project), "certify", sampling="chosen")
    trained = deferred(project)
    make_prediction(trained)
    trained.resolutions.create(revision=1, label=label_of(project, "a"), source="single")
    make_artifact(project, "knn")
    make_prediction(deferred(project))
    draw_benchmark(project=project, part="certify", n=1, by="test")
    said = " ".join(part_report(project, "certify").obstacles)
    assert "1 text was not drawn as a simple random sample" in said
    assert "2 texts are not settled yet" in said
    assert "1 text was left out of a draw" in said
    assert part_report(project, "test").obstacles == ["It is empty."]


def test_experts_who_agree_little_bar_a_part_until_somebody_has_looked(
    project: Project, admin: Member
) -> None:
    tasks = labeled(project, [("a", "b"), ("b", "a"), ("a", "a"), ("b", "b")])
    assert part_report(project, "certify").agreement.value < 0.6  # type: ignore[operator]
    with pytest.raises(ActionRefused, match="First settle"):
        look_at_part(project=project, part="certify", note="fine", by=admin)
    client = client_of(admin)
    for task in tasks[:2]:
        client.post(
            "/p/heron/adjudicate/",
            {
                "task": task.pk,
                "revision": 1,
                "client_id": uuid.uuid4(),
                "choice": f"label:{label_of(project, 'a').pk}",
            },
        )
    report = part_report(project, "certify")
    assert (report.settled, report.agrees_little) == (4, True)
    assert "agree less (0." in report.obstacles[0]
    client.post("/p/heron/benchmark/certify/look/", {"note": ""})
    assert part_report(project, "certify").agrees_little
    client.post("/p/heron/benchmark/certify/look/", {"note": "a and b read alike"})
    assert part_report(project, "certify").obstacles == []
    with pytest.raises(ActionRefused, match="agree enough"):
        look_at_part(project=project, part="certify", note="again", by=admin)
    assert BenchmarkAnswer.objects.filter(adjudicates=True).count() == 2


def test_an_admin_draws_on_the_page_and_is_refused_in_words(
    project: Project, admin: Member
) -> None:
    make_prediction(deferred(project))
    client = client_of(admin)
    form = {"part": "certify", "n": 2, "sampling": "random"}
    refused = client.post("/p/heron/benchmark/draw/", form)
    assert refused.status_code == 422
    assert "There are 1 texts to draw from" in refused.content.decode()
    assert client.post("/p/heron/benchmark/draw/", {**form, "n": "x"}).status_code == 422
    done = client.post("/p/heron/benchmark/draw/", {**form, "n": 1}, follow=True)
    assert "1 text is drawn" in done.content.decode()
    assert BenchmarkItem.objects.get().part == "certify"
    expert = client_of(make_member(project, "expert"))
    assert expert.post("/p/heron/benchmark/draw/", form).status_code == 403


def test_parts_are_told_over_rest(project: Project) -> None:
    labeled(project, [("a", "a"), ("b", "b")])
    rows = client_as(project, "expert").get(f"{API}/benchmark/parts/").json()
    by_part = {row["part"]: row for row in rows}
    assert by_part["certify"]["can_certify"] is True
    assert by_part["certify"]["pairs"] == 2
    assert by_part["tune"]["can_certify"] is False
    assert client_as(project, "regular").get(f"{API}/benchmark/parts/").status_code == 403
