"""The onboarding round: what it is made of, what it tells, what it counts for (nothing else), and
how a member gets through."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest
from django.test import Client

from labeling.actions.answers import current_answers, own_answers
from labeling.actions.errors import ActionRefused, Conflict
from labeling.actions.lease import next_task
from labeling.actions.onboarding import ask_again, begin, last_round, let_in, next_item
from labeling.actions.onboarding_texts import choose_text, drop_text, in_onboarding, tellable
from labeling.actions.queues import gold_for, left_for, waiting_for
from labeling.actions.resolve import withdraw
from labeling.formats.export import export_rows
from labeling.models import (
    Annotation,
    BenchmarkItem,
    Event,
    Label,
    Member,
    OnboardingItem,
    OnboardingRound,
    OnboardingText,
    Project,
    Resolution,
    Task,
)
from labeling.quality.own import own_report
from labeling.quality.savings import seconds_of_an_answer
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_benchmark_item,
    make_member,
    make_project,
    make_task,
)
from tests.labeling.cast import deferred, say
from tests.labeling.test_pages import client_of, page

pytestmark = pytest.mark.django_db
ROUND = "/p/heron/onboarding/"


@pytest.fixture
def project() -> Project:
    return make_project("heron", onboarding_tasks=2, onboarding_pass_mark=0.5, blind_share=0.5)


@pytest.fixture
def nora(project: Project) -> Member:
    return make_member(project, username="nora")


@pytest.fixture
def ida(project: Project) -> Member:
    return make_member(project, "expert", "ida")


@pytest.fixture
def ada(project: Project) -> Member:
    return make_member(project, "admin", "ada")


def benchmark(project: Project, n: int, part: str = "fit", **fields: Any) -> list[Task]:
    """Settled texts of a part of the benchmark."""
    tasks = [make_task(project) for _ in range(n)]
    given = {"reference": "label", "reference_label": label_of(project, "a"), **fields}
    for task in tasks:
        make_benchmark_item(task, part, **given)
    return tasks


def settled(project: Project, label: str = "a", source: str = "adjudicated") -> Task:
    task = make_task(project, status="resolved")
    Resolution.objects.create(task=task, revision=1, label=label_of(project, label), source=source)
    return task


def give(client: Client, label: Label | None, **more: str) -> Any:
    """Answer the text that the page asks; what experts say of it."""
    html = client.get(ROUND).content.decode()
    fields = dict(re.findall(r'name="(task|revision|client_id)" value="([^"]+)"', html))
    choice = f"label:{label.pk}" if label else "unk:none_fits"
    return client.post(ROUND, {"choice": choice, **fields, **more}, follow=True)


def test_a_new_member_finds_the_round_before_anything_else(project: Project, nora: Member) -> None:
    benchmark(project, 2)
    deferred(project)
    client = client_of(nora)
    first = client.get("/p/heron/annotate/", follow=True)
    assert first.redirect_chain == [(ROUND, 302)]
    assert "Before you begin" in first.content.decode()
    assert next_task(member=nora) is None
    assert left_for(nora, up_to=9) == 0
    assert not OnboardingRound.objects.exists()


def test_after_each_answer_comes_what_experts_say_and_then_a_summary(
    project: Project, nora: Member
) -> None:
    benchmark(project, 2)
    a, b = label_of(project, "a"), label_of(project, "b")
    Label.objects.filter(pk=a.pk).update(description="What an a is.")
    client = client_of(nora)
    html = client.post(f"{ROUND}begin/", follow=True).content.decode()
    assert "text <b>1</b> of 2" in html
    assert "What an a is." not in give(client, a).content.decode().split("<article")[0]
    wrong = give(client, b).content.decode()
    assert "Not as the experts" in wrong
    assert "What an a is." in wrong
    summary = client.get(ROUND).content.decode()
    assert "You have passed: 1 of 2 are right, and 1 were needed" in summary
    assert not in_onboarding(nora)
    said = Event.objects.get(verb="onboarding_finished").new
    assert said == {"round": 1, "right": 1, "of": 2, "outcome": "passed"}
    assert client.get("/p/heron/annotate/").status_code == 200


def test_who_did_not_pass_labels_other_texts(project: Project, nora: Member) -> None:
    first = {task.pk for task in benchmark(project, 4)}
    b = label_of(project, "b")
    client = client_of(nora)
    client.post(f"{ROUND}begin/")
    give(client, b)
    give(client, None)
    assert "0 of 2 are right; 1 were needed" in client.get(ROUND).content.decode()
    assert in_onboarding(nora)
    begin(member=nora)
    rounds = [
        set(one.items.values_list("task", flat=True)) for one in OnboardingRound.objects.all()
    ]
    assert rounds[0] | rounds[1] == first
    give(client, b)
    give(client, b)
    html = client.post(f"{ROUND}begin/", follow=True).content.decode()
    assert "There is no further text for a round. An admin can let you in." in html


@pytest.mark.parametrize("part", ["tune", "certify", "test"])
def test_no_answer_is_told_of_what_measures(
    project: Project, nora: Member, ida: Member, part: str
) -> None:
    measured = benchmark(project, 3, part)
    copy = make_task(project, text=measured[0].text.upper(), status="resolved")
    Resolution.objects.create(
        task=copy, revision=1, label=label_of(project, "a"), source="override"
    )
    for task in (measured[1], copy):
        with pytest.raises(ActionRefused):
            choose_text(task=task, by=ida)
    OnboardingText.objects.create(task=copy, chosen_by=ida)  # chosen before its copy was measured
    assert not tellable(project).exists()
    assert not in_onboarding(nora)


def test_a_text_that_comes_to_measure_is_asked_and_told_no_more(
    project: Project, nora: Member
) -> None:
    one, two = benchmark(project, 2)
    round_ = begin(member=nora)
    first = next_item(round_)
    assert first is not None
    client = client_of(nora)
    told = give(client, label_of(project, "a"))
    other = two if first.task_id == one.pk else one
    BenchmarkItem.objects.update(part="test")
    assert next_item(round_) is None
    assert "Experts:" not in client.get(told.redirect_chain[-1][0]).content.decode()
    with pytest.raises(ActionRefused):
        say(nora, other, "a", purpose="onboarding")
    assert "Experts:" not in client.get(ROUND).content.decode()


def test_texts_that_experts_settled_can_be_chosen_with_an_explanation(
    project: Project, nora: Member, ida: Member
) -> None:
    Project.objects.update(onboarding_tasks=1)
    benchmark(project, 3)
    task = settled(project)
    client = client_of(ida)
    path = f"{ROUND}texts/choose/"
    html = client.post(path, {"task": task.pk, "explanation": "See <b>rule</b> 3."}, follow=True)
    assert "See &lt;b&gt;rule&lt;/b&gt; 3." in html.content.decode()
    begin(member=Member.objects.get(pk=nora.pk))
    assert OnboardingItem.objects.get().task == task
    told = give(client_of(nora), label_of(project, "b")).content.decode()
    assert "See &lt;b&gt;rule&lt;/b&gt; 3." in told
    text = OnboardingText.objects.get(task=task)
    client.post(f"{ROUND}texts/drop/", {"text": text.pk})
    assert task not in tellable(project)


@pytest.mark.parametrize("source", ["audit", "agreement", "single", "imported"])
def test_what_no_expert_settled_cannot_be_chosen(
    project: Project, ida: Member, source: str
) -> None:
    with pytest.raises(ActionRefused):
        choose_text(task=settled(project, source=source), by=ida)
    assert not OnboardingText.objects.exists()


def test_what_is_withdrawn_erased_or_for_experts_alone_is_not_asked(
    project: Project, ida: Member
) -> None:
    one, two, three = settled(project), settled(project), benchmark(project, 1)[0]
    for task in (one, two):
        choose_text(task=task, by=ida)
    withdraw(task=one, reason="answers changed", by=ida)
    Task.objects.filter(pk=two.pk).update(expert_only=True)
    Task.objects.filter(pk=three.pk).update(status="erased", text="")
    assert not tellable(project).exists()


def test_only_reviewers_see_and_choose_the_texts(project: Project, nora: Member) -> None:
    task = settled(project)
    page(nora, f"{ROUND}texts/", 403)
    client = client_of(nora)
    assert client.post(f"{ROUND}texts/choose/", {"task": task.pk}).status_code == 403
    assert client.post(f"{ROUND}texts/drop/", {"text": "1"}).status_code == 403
    with pytest.raises(ActionRefused):
        choose_text(task=task, by=nora)


def test_what_was_told_once_is_gold_no_more(project: Project, nora: Member, ida: Member) -> None:
    tasks = benchmark(project, 3)
    other = make_member(project)
    assert gold_for(other).count() == 3
    begin(member=nora)
    assert gold_for(other).count() == 1
    for text in OnboardingText.objects.all():
        drop_text(text=text, by=ida)
    assert gold_for(other).count() == 1
    second = make_member(project)
    Project.objects.update(onboarding_tasks=3)
    second.refresh_from_db()
    assert begin(member=second).items.count() == 1
    assert len(tasks) == 3


def test_others_are_asked_what_was_told_before_so_that_little_gold_is_lost(
    project: Project, nora: Member
) -> None:
    benchmark(project, 9)
    first = begin(member=nora)
    second = begin(member=make_member(project))
    tasks = [set(one.items.values_list("task", flat=True)) for one in (first, second)]
    assert tasks[0] == tasks[1]
    assert OnboardingText.objects.count() == 2


def test_the_answers_count_for_nothing_else(project: Project, nora: Member, ida: Member) -> None:
    task = settled(project)
    choose_text(task=task, by=ida)
    fit = benchmark(project, 1)[0]
    begin(member=nora)
    client = client_of(nora)
    for _text in range(2):
        give(client, label_of(project, "b"), seconds="500")
    assert Annotation.objects.filter(purpose="onboarding").count() == 2
    task.refresh_from_db()
    assert task.status == "resolved"
    assert current_answers([task])[task.pk] == []
    assert Resolution.objects.current().get(task=task).label == label_of(project, "a")
    assert not own_answers(nora).exists()
    assert own_report(nora).seconds.answers == 0
    assert seconds_of_an_answer(project) == (None, True)
    html = page(ida, "/p/heron/quality/")
    assert "nora" not in html.partition("<main")[2]
    assert fit in Task.objects.for_training()
    exported = {row["external_id"]: row for row in export_rows(project)}
    assert exported[task.external_id]["annotations"] == []


def test_a_text_of_the_round_that_is_asked_anew_goes_to_others(
    project: Project, nora: Member, ida: Member
) -> None:
    task = settled(project)
    choose_text(task=task, by=ida)
    begin(member=nora)
    give(client_of(nora), label_of(project, "a"))
    let_in_if_kept(nora, ida)
    Task.objects.filter(pk=task.pk).update(status="deferred")
    assert task not in waiting_for(nora)
    assert task in waiting_for(make_member(project))


def let_in_if_kept(member: Member, by: Member) -> None:
    if in_onboarding(member):
        let_in(member=member, by=by)


def test_an_answer_is_taken_once_and_not_taken_back(project: Project, nora: Member) -> None:
    benchmark(project, 2)
    begin(member=nora)
    client = client_of(nora)
    html = client.get(ROUND).content.decode()
    fields = dict(re.findall(r'name="(task|revision|client_id)" value="([^"]+)"', html))
    sent = {"choice": "unk:none_fits", **fields}
    one, again = (client.post(ROUND, sent)["Location"] for _time in range(2))
    assert one == again
    other = client.post(ROUND, sent | {"client_id": str(uuid.uuid4())}, follow=True)
    assert "Answers for this purpose are not given here" in other.content.decode()
    assert Annotation.objects.count() == 1
    undone = client.post("/p/heron/annotate/undo/", {"member": nora.pk}, follow=True)
    assert "no answer of yours to take back" in undone.content.decode()
    assert page(make_member(project), one, 404)


def test_over_rest_the_round_comes_first_too(project: Project, nora: Member, ida: Member) -> None:
    benchmark(project, 2)
    task = deferred(project)
    with pytest.raises(ActionRefused, match="The onboarding round comes first"):
        say(nora, task, "a")
    say(ida, task, "a")


def test_an_answer_to_what_was_in_hand_is_not_lost_when_a_round_is_asked(
    project: Project, nora: Member, ada: Member
) -> None:
    Project.objects.update(onboarding_tasks=0)
    nora.refresh_from_db()
    tasks = [deferred(project), deferred(project)]
    lease = next_task(member=nora)
    assert lease is not None
    Project.objects.update(onboarding_tasks=2)
    benchmark(project, 2)
    nora = Member.objects.get(pk=nora.pk)
    ask_again(member=nora, by=ada)
    held = next(task for task in tasks if task.pk == lease.task_id)
    other = next(task for task in tasks if task.pk != lease.task_id)
    say(nora, held, "a")
    with pytest.raises(ActionRefused):
        say(nora, other, "a")


def test_an_admin_sees_how_far_they_are_lets_in_and_asks_again(
    project: Project, nora: Member, ada: Member
) -> None:
    benchmark(project, 4)
    people = "/p/heron/people/"
    assert "not begun" in page(ada, people)
    begin(member=nora)
    give(client_of(nora), label_of(project, "a"))
    assert "Round 1: 1 of 2 answered, 1 right" in page(ada, people)
    client = client_of(ada)
    path = f"{people}{nora.pk}/onboarding/"
    html = client.post(path, {"do": "let_in"}, follow=True).content.decode()
    assert "nora labels like all others from now on" in html
    assert not in_onboarding(Member.objects.get(pk=nora.pk))
    assert Event.objects.filter(verb="onboarding_waived", actor=ada.name).exists()
    html = client.post(path, {"do": "ask"}, follow=True).content.decode()
    assert "nora labels a round first" in html
    assert in_onboarding(Member.objects.get(pk=nora.pk))
    html = client.post(path, {"do": "ask"}, follow=True).content.decode()
    assert "has a round under way" in html
    assert client_of(nora).post(path, {"do": "let_in"}).status_code == 403


def test_who_has_not_begun_can_be_let_in(project: Project, nora: Member, ada: Member) -> None:
    benchmark(project, 2)
    let_in(member=nora, by=ada)
    assert not in_onboarding(nora)
    with pytest.raises(Conflict):
        let_in(member=nora, by=ada)


def test_only_new_regular_annotators_are_kept(
    project: Project, nora: Member, ida: Member, ada: Member
) -> None:
    benchmark(project, 2)
    old = make_member(project)
    make_annotation(make_task(project), old, label_of(project, "a"))
    robot = make_member(project, is_simulated=True)
    assert [in_onboarding(one) for one in (nora, ida, ada, old, robot)] == [True, *[False] * 4]
    for one in (ida, robot):
        with pytest.raises(Conflict):
            ask_again(member=one, by=ada)
    Project.objects.update(onboarding_tasks=0)
    nora = Member.objects.get(pk=nora.pk)
    assert not in_onboarding(nora)
    with pytest.raises(ActionRefused):
        begin(member=nora)
    assert client_of(nora).get(ROUND)["Location"] == "/p/heron/annotate/"


def test_without_a_text_to_ask_nobody_is_kept(project: Project, nora: Member) -> None:
    task = deferred(project)
    assert page(nora, "/p/heron/annotate/")
    say(nora, task, "a")


@pytest.mark.parametrize(
    ("reference", "said", "right"),
    [
        ({"reference": "unk", "reference_label": None}, "unk:none_fits", True),
        ({"reference": "unk", "reference_label": None}, "a", False),
        ({}, "unk:none_fits", False),
        ({"reference": "conf", "reference_label": None}, "b", True),
        ({"reference": "conf", "reference_label": None}, "c", False),
    ],
)
def test_an_answer_is_right_as_the_experts_mean_it(
    nora: Member, reference: dict[str, Any], said: str, right: bool
) -> None:
    [task] = benchmark(nora.project, 1, **reference)
    if reference.get("reference") == "conf":
        both = [label_of(nora.project, name) for name in ("a", "b")]
        task.benchmark_item.reference_conf_labels.set(both)
    begin(member=nora)
    say(nora, task, said, purpose="onboarding")
    assert OnboardingItem.objects.get().is_right is right
    done = last_round(nora)
    assert done is not None
    assert done.outcome == ("passed" if right else "failed")


def test_a_text_that_changed_meanwhile_is_left_out(project: Project, nora: Member) -> None:
    benchmark(project, 2)
    begun = begin(member=nora)
    first = next_item(begun)
    assert first is not None
    Task.objects.exclude(pk=first.task_id).update(revision=2)
    say(nora, first.task, "a", purpose="onboarding")
    begun.refresh_from_db()
    assert begun.outcome == "passed"


def test_a_round_whose_texts_are_all_gone_makes_way_for_another(
    project: Project, nora: Member
) -> None:
    benchmark(project, 4)
    begun = begin(member=nora)
    Task.objects.filter(pk__in=begun.items.values("task")).update(revision=2)
    assert client_of(nora).get(ROUND).status_code == 200
    again = begin(member=nora)
    assert again.pk != begun.pk
    assert next_item(again) is not None


def test_the_text_is_blind_and_asks_openly(project: Project, nora: Member) -> None:
    Project.objects.update(question="binary", assistance="shown")
    benchmark(project, 2)
    visible = begin(member=Member.objects.get(pk=nora.pk)).items.values_list("visible", flat=True)
    assert [one["blind"] for one in visible] == [True, True]
    assert {one["question"] for one in visible} == {"multiclass"}
    assert not any(one["scores"] or one["documents"] or one["verdicts"] for one in visible)


def test_the_page_of_a_text_says_that_it_teaches(project: Project, ida: Member) -> None:
    task = settled(project)
    choose_text(task=task, by=ida)
    drop_text(text=OnboardingText.objects.get(), by=ida)
    html = page(ida, f"/p/heron/tasks/{task.pk}/")
    assert "Chosen for the onboarding round." in html
    assert "Taken out of the onboarding round." in html
