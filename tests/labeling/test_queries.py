"""What the labeling page asks of the database: few queries, however much is there."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from labeling.actions.lease import next_task
from labeling.actions.queues import queue_of
from labeling.models import Lease, Member, Purpose
from tests.labeling.builders import make_member, make_project, make_run, make_task, make_validator
from tests.labeling.rest import user_of

pytestmark = pytest.mark.django_db
LEASE = re.compile(r'name="lease" value="(\d+)"')


def filled(slug: str, *, tasks: int, labels: int, **fields: Any) -> Member:
    """A member of a project in which so many ranked and judged tasks wait."""
    project = make_project(slug, labels=[f"label {n}" for n in range(labels)], **fields)
    ids = list(project.labels.values_list("pk", flat=True))[:5]
    run, validator = make_run(project), make_validator(project)
    for _ in range(tasks):
        task = make_task(project, status="deferred")
        task.rankings.create(
            run=run, revision=1, hard=True, candidates=[[pk, 0.2, 0.2] for pk in ids]
        )
        task.verdicts.create(
            run=run,
            revision=1,
            validator=validator,
            question="multiclass",
            probabilities={str(pk): 0.2 for pk in ids},
            mass=1.0,
        )
    return make_member(project)


def queries_of(member: Member) -> dict[str, int]:
    """How many each request takes once the process has seen the label set: with nothing in hand,
    with a full hand, and an answer."""
    client = Client(headers={"HX-Request": "true"})
    client.force_login(user_of(member))
    path = f"/p/{member.project.slug}/annotate/"
    client.get(path)
    member.leases.all().delete()
    found = {}
    for name in ("first", "next"):
        with CaptureQueriesContext(connection) as asked:
            html = client.get(path).content.decode()
        found[name] = len(asked)
    in_hand, *held = dict.fromkeys(LEASE.findall(html))
    lease = Lease.objects.get(pk=in_hand)
    sent = {
        "task": lease.task_id,
        "lease": in_hand,
        "held": held,
        "revision": 1,
        "client_id": str(uuid.uuid4()),
        "choice": f"label:{lease.visible['candidates'][0]}",
    }
    with CaptureQueriesContext(connection) as asked:
        response = client.post(path, sent)
    assert response.status_code == 200
    assert member.annotations.count() == 1
    assert len(set(LEASE.findall(response.content.decode()))) == 1
    found["submit"] = len(asked)
    return found


def test_requests_of_the_labeling_page_take_a_bounded_number_of_queries() -> None:
    # No settled text slips in; chance decides only whether audits are looked for first.
    found = queries_of(filled("shop", tasks=8, labels=6, gold_share=0.0, repeat_share=0.0))
    assert found["next"] <= 25
    assert found["submit"] <= 52
    assert found["first"] <= 75


def test_more_tasks_and_labels_take_no_more_queries() -> None:
    # Nothing slips in and no audit is drawn for, so that chance does not decide what is asked.
    fields = {"blind_share": 0.0, "assistance": "shown"}
    few = queries_of(filled("few", tasks=5, labels=5, **fields))
    many = queries_of(filled("many", tasks=40, labels=60, **fields))
    assert many == few


def test_the_audits_of_an_expert_are_found_without_a_look_at_every_task() -> None:
    member = filled("shop", tasks=3, labels=3)
    expert = make_member(member.project, "expert")
    queue = queue_of(expert, Purpose.AUDIT)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:  # small tables are read whole, were they not forbidden
            for way in ("seqscan", "hashjoin", "mergejoin"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
        by_key = r"on labeling_task  ?\([^\n]*\n\s*Index Cond: \(id = "
    else:
        by_key = r"SEARCH labeling_task USING INTEGER PRIMARY KEY"
    assert re.search(by_key, queue.explain())


def test_the_head_of_the_queue_comes_in_the_order_of_its_index() -> None:
    member = filled("shop", tasks=3, labels=3)
    with CaptureQueriesContext(connection) as asked:
        assert next_task(member=member) is not None
    head = next(
        query["sql"]
        for query in asked
        if 'ORDER BY "labeling_task"."priority" DESC' in query["sql"]
    )
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {head}")
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {head}")
        plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
    assert "task_queue" in plan
    assert "Sort" not in plan
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan
