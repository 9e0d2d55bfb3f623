"""What the pages do, over REST: skips, flags, many tasks at once, assignments; and blindness."""

from __future__ import annotations

from typing import Any

import pytest

from labeling.actions.lease import next_task
from labeling.models import (
    AssignedTask,
    AuditPick,
    BenchmarkItem,
    Flag,
    MachineSeen,
    Member,
    Project,
    Skip,
    Task,
)
from tests.labeling.builders import make_member, make_project, make_run, make_task
from tests.labeling.cast import deferred, say
from tests.labeling.rest import client_of
from tests.labeling.test_api_tasks import plan
from tests.labeling.test_pages import LABELS
from tests.labeling.test_pages import client_of as page_of
from tests.labeling.test_task_pages import accepted

pytestmark = pytest.mark.django_db
API = "/api/v1/projects/heron"


@pytest.fixture
def project() -> Project:
    return make_project("heron", LABELS, blind_share=0.0, gold_share=0.0, repeat_share=0.0)


@pytest.fixture
def ada(project: Project) -> Member:
    return make_member(project, "admin", "ada", name="Ada")


@pytest.fixture
def eve(project: Project) -> Member:
    return make_member(project, "expert", "eve", name="Eve")


@pytest.fixture
def ann(project: Project) -> Member:
    return make_member(project, username="ann", name="Ann")


def test_a_task_is_skipped_with_a_reason_and_the_queue_minds_it(
    project: Project, ann: Member, eve: Member
) -> None:
    task, leased = deferred(project), deferred(project)
    client = client_of(ann)
    body = {"external_id": task.external_id, "reason": "involved"}
    answer = client.post(f"{API}/skips/", body)
    assert answer.status_code == 201, answer.json()
    assert (answer.json()["member"], answer.json()["until"]) == ("Ann", None)
    lease = next_task(member=ann)
    assert lease is not None
    assert lease.task == leased
    later = client.post(f"{API}/skips/", {"external_id": leased.external_id, "reason": "later"})
    assert later.json()["until"] is not None
    assert next_task(member=ann) is None
    assert client.post(f"{API}/skips/", body).status_code == 409
    assert client.post(f"{API}/skips/", {**body, "reason": "bored"}).status_code == 400
    assert client.post(f"{API}/skips/", {**body, "external_id": "x"}).status_code == 404
    client_of(eve).post(f"{API}/skips/", {"external_id": task.external_id, "reason": "language"})
    assert Skip.objects.count() == 3
    assert [row["member"] for row in client.get(f"{API}/skips/").json()["results"]] == ["Ann"] * 2
    assert len(client_of(eve).get(f"{API}/skips/").json()["results"]) == 3


def test_a_task_is_flagged_and_the_flag_is_taken_back(
    project: Project, ann: Member, eve: Member
) -> None:
    task = deferred(project)
    client = client_of(ann)
    body = {"external_id": task.external_id, "note": "Two questions."}
    first = client.post(f"{API}/flags/", body)
    assert first.status_code == 201, first.json()
    again = client.post(f"{API}/flags/", {**body, "note": "Three."})
    assert again.json()["id"] == first.json()["id"]
    assert Flag.objects.get().note == "Three."
    bob = client_of(make_member(project))
    assert bob.get(f"{API}/flags/").json()["results"] == []
    path = f"{API}/flags/{first.json()['id']}/close/"
    assert bob.post(path).status_code == 404
    assert client.post(path).status_code == 200
    assert client.post(path).json()["closed_at"] is not None
    assert client.get(f"{API}/flags/").json()["results"] == []
    done = make_task(project, status="resolved")
    refused = client.post(f"{API}/flags/", {"external_id": done.external_id})
    assert refused.status_code == 409


def test_a_note_that_is_read_counts_as_seen_and_is_kept_from_who_labels_blind(
    project: Project, ann: Member, eve: Member
) -> None:
    task, blind = deferred(project), deferred(project)
    for one in (task, blind):
        Flag.objects.create(task=one, revision=1, member=ann, note="The machine says “fee”.")
    lease = next_task(member=eve)
    assert lease is not None
    lease.task = blind
    lease.visible = {"blind": True}
    lease.save()
    rows = client_of(eve).get(f"{API}/flags/").json()["results"]
    assert [row["note"] for row in rows] == ["The machine says “fee”.", None]
    assert [seen.task for seen in MachineSeen.objects.filter(member=eve)] == [task]


@pytest.mark.parametrize(
    ("do", "status"), [("reopen", "deferred"), ("expert", "disputed"), ("audit", "resolved")]
)
def test_many_tasks_are_reviewed_at_once(
    project: Project, eve: Member, ann: Member, do: str, status: str
) -> None:
    tasks = [accepted(project), accepted(project)]
    ids = [task.external_id for task in tasks]
    answer = client_of(eve).post(
        f"{API}/review/", {"do": do, "external_ids": [*ids, ids[0]]}, format="json"
    )
    assert answer.json() == {"changed": 2, "left": 0}
    assert set(Task.objects.values_list("status", flat=True)) == {status}
    assert AuditPick.objects.count() == (2 if do == "audit" else 0)
    body = {"do": do, "external_ids": [ids[0], "nowhere"]}
    unknown = client_of(eve).post(f"{API}/review/", body, format="json")
    assert unknown.status_code == 400
    assert "nowhere" in unknown.json()["error"]["details"][0]["message"]
    assert client_of(ann).post(f"{API}/review/", body, format="json").status_code == 403
    read_only = client_of(eve, ["read"]).post(f"{API}/review/", body, format="json")
    assert read_only.status_code == 403


def test_tasks_are_assigned_released_and_kept_for_experts(
    project: Project, ada: Member, eve: Member, ann: Member
) -> None:
    task = deferred(project)
    client, ids = client_of(ada), [task.external_id]
    path = f"{API}/assignments/"

    def post(**body: Any) -> Any:
        return client.post(path, {"external_ids": ids, **body}, format="json")

    assert post().status_code == 400
    assert post(member="ann", role="expert").status_code == 400
    assert post(member="nobody").status_code == 400
    assert post(member="ann", days=91).status_code == 400
    made = post(member="ann", days=2)
    assert made.status_code == 201, made.json()
    assert made.json()["assignment"]["member"] == "Ann"
    assert AssignedTask.objects.live().get().assignment.member == ann
    assert post(role="expert").status_code == 422
    for other in (eve, ann):
        assert client_of(other).post(path, {}, format="json").status_code == 403
    assert client_of(ada, ["annotate"]).post(path, {}, format="json").status_code == 403
    listed = client_of(eve).get(path).json()["results"]
    assert [(row["member"], row["count"]) for row in listed] == [("Ann", 1)]
    assert client_of(ann).get(path).status_code == 403
    release = f"{path}{listed[0]['id']}/release/"
    assert client.post(release).json() == {"changed": 1, "left": 0}
    assert client.post(release).status_code == 422
    body = {"expert_only": True, "external_ids": ids}
    assert client.post(f"{API}/expert-only/", body, format="json").json()["changed"] == 1
    assert next_task(member=ann) is None
    body["expert_only"] = False
    assert client.post(f"{API}/expert-only/", body, format="json").json()["changed"] == 1
    assert client_of(eve).post(f"{API}/expert-only/", body, format="json").status_code == 403


def rows_of(member: Member, query: str = "") -> dict[str, Any]:
    answer = client_of(member).get(f"{API}/tasks/{query}")
    assert answer.status_code == 200, answer.json()
    return {row["external_id"]: row for row in answer.json()["results"]}


def test_the_list_shows_what_machines_said_and_that_counts_as_seen(
    project: Project, eve: Member
) -> None:
    task = accepted(project)
    plan(make_run(project), task, hard=True)
    row = rows_of(eve)[task.external_id]
    assert row["resolution"]["label"]["name"] == "Charged twice"
    assert [one["probability"] for one in row["candidates"]] == [0.7, 0.3]
    assert row["prediction"] is not None
    assert MachineSeen.objects.get().member == eve


def test_without_machines_the_list_tells_nothing_of_them_and_leaves_the_reader_blind(
    project: Project, eve: Member, ann: Member
) -> None:
    machine, people = accepted(project), deferred(project)
    plan(make_run(project), machine, hard=True)
    say(ann, people, "Change plan")
    say(make_member(project), people, "Change plan")
    rows = rows_of(eve, "?machines=false")
    row = rows[machine.external_id]
    assert row["resolution"]["source"] == "auto"
    assert row["resolution"]["label"] is None
    for name in ("prediction", "hard", "priority", "candidates"):
        assert row[name] is None
    assert rows[people.external_id]["resolution"]["label"]["name"] == "Change plan"
    assert not MachineSeen.objects.exists()


@pytest.mark.parametrize("query", ["", "?machines=true", "?label=Charged twice", "?hard=true"])
def test_what_is_to_be_labeled_blind_is_kept_from_list_and_page_alike(
    project: Project, eve: Member, query: str
) -> None:
    task = accepted(project, text="a text of the benchmark")
    plan(make_run(project), task, hard=True)
    Task.objects.filter(pk=task.pk).update(status="disputed")
    BenchmarkItem.objects.create(
        project=project, task=task, text_hash=task.text_hash, part="test", sampling="chosen"
    )
    rows = rows_of(eve, query)
    if query.startswith(("?label", "?hard")):
        assert task.external_id not in rows
    else:
        row = rows[task.external_id]
        for name in ("prediction", "hard", "priority", "candidates", "resolution"):
            assert row[name] is None
    shown = client_of(eve).get(f"{API}/tasks/{task.external_id}/").json()
    assert "candidates" not in shown
    page = page_of(eve).get("/p/heron/tasks/?machines=on").content.decode()
    assert "to be labeled blind" in page
    assert not MachineSeen.objects.exists()
