"""Certificates of a frozen pool: what is drawn, who answers, and what may then be said."""

from __future__ import annotations

import io
import random
import uuid
from collections.abc import Collection
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from scipy.stats import binom

from labeling.actions.annotate import undo
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.lease import next_task
from labeling.actions.pool import close_pool, draw_more, freeze_pool
from labeling.actions.pool_certificate import pool_certificate, pool_in_words
from labeling.models import (
    Annotation,
    AuditDraw,
    AuditObservation,
    Decision,
    Member,
    Policy,
    Pool,
    PoolDraw,
    Project,
    Resolution,
    Task,
)
from labeling.statistics.finite_pool import (
    least_bad,
    pool_bound,
    pool_sample_size,
    pool_sequence_bound,
    pool_sequence_size,
)
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_member,
    make_policy,
    make_project,
    make_run,
    make_task,
)
from tests.labeling.cast import say
from tests.labeling.rest import client_as

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    return make_project(labels=["a", "b"])


@pytest.fixture
def eve(project: Project) -> Member:
    return make_member(project, "expert", "eve")


def accept(project: Project, n: int, policy: Policy | None = None) -> list[Resolution]:
    """`n` tasks that a policy accepted as “a”."""
    policy = policy or make_policy(project)
    run = make_run(project)
    label = label_of(project, "a")
    made = []
    for _ in range(n):
        task = make_task(project, status="resolved")
        decision = Decision.objects.create(
            task=task,
            run=run,
            revision=1,
            question="multiclass",
            outcome="accept",
            label=label,
            confidence=0.97,
            policy=policy,
        )
        made.append(
            Resolution.objects.create(
                task=task, revision=1, label=label, source="auto", decision=decision
            )
        )
    return made


def freeze(project: Project, alpha: float = 0.2, delta: float = 0.2, **more: Any) -> Pool:
    return freeze_pool(project=project, alpha=alpha, delta=delta, by="test", **more)


def audit(member: Member, draw: PoolDraw, what: str = "a") -> None:
    say(member, draw.task, what, purpose="audit")


def answer_all(member: Member, pool: Pool, wrong: Collection[int] = ()) -> None:
    """The expert answers every draw that waits; those at the places `wrong` are errors."""
    for draw in pool.draws.filter(answered_at__isnull=True).select_related("task"):
        audit(member, draw, "b" if draw.place in wrong else "a")


def test_the_number_of_rows_is_fixed_and_nothing_is_told_before_the_last_answer(
    project: Project, eve: Member
) -> None:
    accept(project, 20)
    pool = freeze(project)
    assert pool.sample_size == pool_sample_size(20, 0.2, 0.2) == pool.draws.count()
    last = pool.draws.last()
    assert last is not None
    for draw in pool.draws.exclude(pk=last.pk):
        audit(eve, draw)
    found = pool_certificate(pool)
    assert (found.bound, found.left, found.holds) == (None, None, False)
    waiting = f"{pool.sample_size - 1} of {pool.sample_size} drawn labels are answered"
    assert pool_in_words(pool)[0].startswith(waiting)
    audit(eve, last)
    found = pool_certificate(pool)
    assert found.bound == pool_bound(20, pool.sample_size, 0, 0.2)
    assert found.holds
    pool.refresh_from_db()
    assert pool.certified_at is not None
    assert pool_in_words(pool)[0] == (
        "Certified: at most 20.0% of this pool is wrong, with confidence 80%."
    )


def test_errors_that_were_found_are_mended_and_only_the_others_are_left(
    project: Project, eve: Member
) -> None:
    accept(project, 30)
    pool = freeze(project, errors=1)
    answer_all(eve, pool, wrong={0})
    found = pool_certificate(pool)
    assert found.bound == pool_bound(30, pool.sample_size, 1, 0.2)
    assert (found.mended, found.left, found.holds) == (1, found.bound.left, True)
    first = pool.draws.get(place=0)
    assert (first.wrong, first.label.name) == (True, "a")
    stands = Resolution.objects.current().get(task=first.task)
    assert (str(stands.label), stands.source) == ("b", "audit")


def test_an_answer_taken_back_or_changed_takes_its_figures_along(
    project: Project, eve: Member
) -> None:
    accept(project, 20)
    pool = freeze(project)
    answer_all(eve, pool, wrong={pool.sample_size - 1})
    assert not pool_certificate(pool).holds
    undo(member=eve)
    last = pool.draws.get(place=pool.sample_size - 1)
    assert (last.wrong, last.answered_at, last.annotation) == (None, None, None)
    assert last.resolution.current  # the machine's label stands again
    assert pool_certificate(pool).bound is None
    audit(eve, last)
    audit(eve, last, "b")
    audit(eve, last)
    pool.refresh_from_db()
    assert pool.certified_at is not None
    assert pool_certificate(pool).mended == 0


def test_only_experts_who_never_touched_a_task_get_it(project: Project, eve: Member) -> None:
    accept(project, 20)
    pool = freeze(project)
    draws = list(pool.draws.select_related("task"))
    make_annotation(draws[0].task, eve, label_of(project, "a"))
    with pytest.raises(Conflict):
        audit(eve, draws[0])
    with pytest.raises(Conflict):
        audit(make_member(project, "regular"), draws[1])
    undrawn = Task.objects.filter(pool_draws__isnull=True).first()
    assert undrawn is not None
    with pytest.raises(Conflict):
        say(eve, undrawn, "a", purpose="audit")
    lease = next_task(member=eve)
    assert lease is not None
    assert (lease.task, lease.purpose, lease.visible["blind"]) == (draws[1].task, "audit", True)
    assert "candidates" not in lease.visible or not lease.visible["candidates"]


def test_draws_of_a_pool_stay_out_of_the_monitor_and_audits_out_of_the_draws(
    project: Project, eve: Member
) -> None:
    policy = make_policy(project)
    rows = accept(project, 20, policy)
    pool = freeze(project)
    drawn = set(pool.draws.values_list("resolution", flat=True))
    outside = next(row for row in rows if row.pk not in drawn)
    assert outside.decision is not None
    draw = AuditDraw.objects.create(
        decision=outside.decision,
        task=outside.task,
        revision=1,
        label=label_of(project, "a"),
        policy=policy,
        probability=0.5,
        seed=uuid.uuid4().hex,
    )
    answer_all(eve, pool)
    assert AuditObservation.objects.count() == 0
    say(eve, outside.task, "b", purpose="audit")
    assert AuditObservation.objects.get().draw == draw
    assert pool_certificate(pool).mended == 0
    assert pool.draws.count() == pool.sample_size


def test_a_blind_answer_that_an_expert_gave_before_counts_for_a_later_draw(
    project: Project, eve: Member
) -> None:
    rows = accept(project, 20)
    for row in rows:
        make_annotation(row.task, eve, label_of(project, "a"), purpose="audit")
    pool = freeze(project)
    assert pool.certified_at is not None
    assert pool_certificate(pool).answered == pool.sample_size


def test_only_the_labels_of_the_named_policy_are_frozen_and_people_s_never(
    project: Project,
) -> None:
    policy = make_policy(project)
    wanted = accept(project, 20, policy)
    accept(project, 5)
    person = make_task(project, status="resolved")
    Resolution.objects.create(
        task=person, revision=1, label=label_of(project, "a"), source="single"
    )
    pool = freeze(project, policy=policy)
    assert np.frombuffer(pool.rows, "<i8").tolist() == [row.pk for row in wanted]
    assert freeze(project).size == 25


@pytest.mark.parametrize(
    ("n", "alpha", "more", "says"),
    [
        (0, 0.1, {}, "the pool is empty"),
        (4, 0.05, {}, "all 4 labels would have to be looked at"),
        (8, 0.2, {"errors": 3}, "cannot be kept"),
        (8, float("nan"), {}, "between 0 and 1"),
        (8, 0.2, {"method": "guess"}, "fixed, sequence"),
        (8, 0.2, {"errors": -1}, "0 or more"),
    ],
)
def test_what_cannot_be_certified_is_refused_in_words(
    project: Project, n: int, alpha: float, more: dict[str, Any], says: str
) -> None:
    accept(project, n)
    with pytest.raises(ActionRefused, match=says):
        freeze(project, alpha, **more)
    assert not Pool.objects.exists()


def test_a_sequence_may_be_watched_and_goes_on_where_it_does_not_hold(
    project: Project, eve: Member
) -> None:
    accept(project, 40)
    pool = freeze(project, method="sequence")
    assert pool.sample_size == pool_sequence_size(40, 0.2, 0.2)
    first, second = pool.draws.all()[:2]
    audit(eve, second)  # out of turn: it waits for the first
    assert pool_certificate(pool).bound is None
    audit(eve, first, "b")
    assert pool_certificate(pool).bound == pool_sequence_bound(40, 2, 1, 0.2)
    answer_all(eve, pool)
    assert not pool_certificate(pool).holds
    before = list(pool.draws.values_list("pk", flat=True))
    pool = draw_more(pool=pool, n=10, by="test")
    assert list(pool.draws.values_list("pk", flat=True))[: len(before)] == before
    answer_all(eve, pool)
    assert pool_certificate(pool).bound == pool_sequence_bound(40, pool.sample_size, 1, 0.2)
    with pytest.raises(ActionRefused, match="can be drawn"):
        draw_more(pool=pool, n=40, by="test")


def test_a_fixed_number_of_rows_stays_and_a_closed_pool_counts_the_unanswered_as_wrong(
    project: Project, eve: Member
) -> None:
    accept(project, 30)
    pool = freeze(project, errors=1)
    with pytest.raises(ActionRefused, match="fixed before"):
        draw_more(pool=pool, n=1, by="test")
    for draw in pool.draws.all()[1:]:
        audit(eve, draw)
    pool = close_pool(pool=pool, by="test")
    found = pool_certificate(pool)
    assert found.bound == pool_bound(30, pool.sample_size, 1, 0.2)
    assert (found.unanswered, found.mended, found.left) == (1, 0, found.bound.most)
    with pytest.raises(Conflict):
        audit(eve, pool.draws.get(place=0))
    with pytest.raises(ActionRefused, match="closed"):
        close_pool(pool=pool, by="test")


@pytest.mark.parametrize("method", ["fixed", "sequence"])
@pytest.mark.parametrize("bad", [7])
def test_the_bound_is_broken_in_at_most_delta_of_many_draws(
    project: Project, eve: Member, method: str, bad: int
) -> None:
    """Perfect experts, 300 draws of one pool of which `bad` labels are wrong; a sequence is looked
    at after every row, and counts as broken if it ever was."""
    size, alpha, delta, repeats = 60, 0.1, 0.2, 300
    rows = accept(project, size)
    wrong = {row.pk for row in random.Random(bad).sample(rows, bad)}
    broken = certified = 0
    for _ in range(repeats):
        pool = freeze(project, alpha, delta, method=method, errors=2)
        drawn = [pk in wrong for pk in pool.draws.values_list("resolution", flat=True)]
        bound = pool_bound if method == "fixed" else pool_sequence_bound
        looks = [len(drawn)] if method == "fixed" else range(1, len(drawn) + 1)
        found = [bound(size, n, sum(drawn[:n]), delta) for n in looks]
        broken += any(one.most < bad for one in found)
        certified += any(one.most < least_bad(size, alpha) for one in found)
    # A method that breaks its promise in exactly delta of all is refused once in a thousand times.
    assert binom.sf(broken - 1, repeats, delta) > 0.001
    if bad > alpha * size:
        assert binom.sf(certified - 1, repeats, delta) > 0.001


def test_more_errors_never_make_either_bound_smaller() -> None:
    for bound in (pool_bound, pool_sequence_bound):
        for n in range(1, 31):
            most = [bound(30, n, errors, 0.1).most for errors in range(n + 1)]
            assert most == sorted(most)


def test_the_size_of_a_sequence_is_the_first_that_holds() -> None:
    for errors in (0, 2):
        size = pool_sequence_size(500, 0.05, 0.1, errors=errors)
        assert size is not None
        bad = least_bad(500, 0.05)
        assert pool_sequence_bound(500, size, errors, 0.1).most < bad
        assert pool_sequence_bound(500, size - 1, errors, 0.1).most >= bad
    assert pool_sequence_size(20, 0.05, 0.1, errors=2) is None


def test_the_command_freezes_says_what_to_do_and_later_tells_the_certificate(
    project: Project, eve: Member
) -> None:
    accept(project, 20)
    out = io.StringIO()
    call_command("certify_pool", "shop", alpha=0.2, delta=0.2, stdout=out)
    pool = Pool.objects.get()
    assert f"Pool {pool.pk}: 20 accepted labels are frozen, {pool.sample_size}" in out.getvalue()
    answer_all(eve, pool)
    call_command("certify_pool", "shop", pool=pool.pk, close=True, stdout=out)
    assert "Certified: at most 20.0%" in out.getvalue()
    for wrong in ({"pool": 999}, {"policy": 999}, {"close": True}, {"alpha": 2.0}):
        with pytest.raises(CommandError):
            call_command("certify_pool", "shop", stdout=out, **wrong)


def test_pools_are_frozen_and_read_over_rest(project: Project, eve: Member) -> None:
    accept(project, 20)
    client = client_as(project, "admin")
    url = "/api/v1/projects/shop/pools/"
    made = client.post(url, {"alpha": 0.2, "delta": 0.2}, format="json")
    assert made.status_code == 201, made.json()
    body = made.json()
    pool = Pool.objects.get()
    assert body["certificate"]["most"] is None
    assert not body["certificate"]["holds"]
    answer_all(eve, pool)
    told = client.get(f"{url}{pool.pk}/").json()
    assert told["certificate"]["most"] == pool_bound(20, pool.sample_size, 0, 0.2).most
    assert told["words"] == pool_in_words(pool)
    assert client.get(url).json()["results"][0] == told
    assert client.get(f"{url}999/").status_code == 404
    assert client.post(url, {"alpha": 3}, format="json").status_code == 422
    assert client.post(url, {"alpha": 0.1, "policy": 999}, format="json").status_code == 404
    regular = client_as(project, "regular")
    assert regular.get(url).status_code == 403
    expert = client_as(project, "expert")
    assert expert.post(url, {"alpha": 0.1}, format="json").status_code == 403
    assert Annotation.objects.filter(purpose="audit").count() == pool.sample_size
