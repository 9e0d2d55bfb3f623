"""The tuning panel: who may see it, that its figures are exact, that saving promises nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from labeling.actions.errors import ActionRefused
from labeling.actions.policy_comparison import compare
from labeling.actions.policy_versions import set_by_hand
from labeling.actions.preview import judged, preview, reliability, stream_of
from labeling.actions.send_back import (
    no_longer_taken,
    send_back_no_longer_taken,
    undo_send_back,
)
from labeling.actions.stream_sample import draw_sample
from labeling.actions.tally import tally_runs
from labeling.actions.weights import sampled_stream, weighed
from labeling.models import Event, Policy, Resolution, Role, Run, SendBack, StreamSample
from labeling.statistics import tally
from tests.labeling.builders import label_of, make_annotation, make_benchmark_item, make_member
from tests.labeling.rest import user_of
from tests.labeling.scenes import Scene, make_scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    """Four tasks of the stream at 0.6 to 0.9, and four rows of *tune*, the surest of them wrong."""
    scene = make_scene(validators=1)
    for confidence in (0.6, 0.7, 0.8, 0.9):
        scene.task({"a": confidence, "b": 1 - confidence})
    for confidence, right in ((0.65, False), (0.75, True), (0.85, True), (0.95, False)):
        task = scene.task({"a": confidence, "b": 1 - confidence})
        reference = label_of(scene.project, "a" if right else "b")
        make_benchmark_item(task, "tune", reference="label", reference_label=reference)
    Run.objects.filter(pk=scene.run.pk).update(
        status=Run.Status.COMPLETED, completed_at=scene.run.created_at, planned=8
    )
    return scene


@pytest.fixture
def policy(scene: Scene) -> Policy:
    policy = scene.policy("active", multiclass=0.8)
    tally_runs(policy)
    return policy


def admin_of(scene: Scene, role: str = Role.ADMIN, *, is_staff: bool = True) -> Client:
    user = user_of(make_member(scene.project, role))
    user.is_staff = is_staff
    user.save()
    client = Client()
    client.force_login(user)
    return client


def address(scene: Scene, name: str = "") -> str:
    return reverse(f"admin:labeling_project_tuning{name}", args=[scene.project.pk])


def words(answer: Any) -> str:
    text = re.sub(r"<script\b.*?</script>", " ", answer.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_a_preview_counts_the_stream_exactly_and_judges_by_tune_alone(
    scene: Scene, policy: Policy
) -> None:
    stream, rows = stream_of(policy), judged(policy)
    for threshold, taken, right, of in (
        (0.0, 4, 2, 4),
        (0.7, 3, 2, 3),
        (0.701, 2, 2, 3),
        (0.9, 1, 0, 1),
        (0.951, 0, 0, 0),
        (None, 0, 0, 0),
    ):
        found = preview(stream, rows, {"multiclass": threshold})
        assert (found.taken, found.right.successes, found.right.n) == (taken, right, of)
    assert stream.tasks == 4


def test_a_threshold_between_two_steps_is_counted_at_the_next(scene: Scene) -> None:
    policy = scene.policy("active", multiclass=0.7996)
    tally_runs(policy)
    found = preview(stream_of(policy), judged(policy), policy.rule["threshold"])
    assert found.taken == 2, "0.8 and 0.9"
    page = words(admin_of(scene).get(address(scene)))
    assert "The threshold 0.79960 lies between two steps of 0.001." in page


def test_rows_of_certify_and_test_are_never_looked_at(scene: Scene, policy: Policy) -> None:
    for part in ("certify", "test"):
        task = scene.task({"a": 0.99, "b": 0.01})
        make_benchmark_item(
            task, part, reference="label", reference_label=label_of(scene.project, "a")
        )
    assert judged(policy).rows == 4


def test_new_answers_are_seen_at_the_next_look(scene: Scene, policy: Policy) -> None:
    assert judged(policy).rows == 4
    task = scene.task({"a": 0.99, "b": 0.01})
    make_benchmark_item(
        task, "tune", reference="label", reference_label=label_of(scene.project, "a")
    )
    assert judged(policy).rows == 5


def test_tasks_of_runs_under_way_are_named_as_not_counted(scene: Scene, policy: Policy) -> None:
    later = Run.objects.create(
        project=scene.project,
        configuration=scene.configuration,
        taxonomy=scene.run.taxonomy,
        planned=3,
    )
    stream = stream_of(policy)
    assert (stream.tasks, stream.uncounted, stream.runs, stream.counted_runs) == (4, 3, 2, 1)
    assert "3 tasks are not counted" in words(admin_of(scene).get(address(scene)))
    assert later.planned == 3


def test_reliability_compares_mean_confidence_with_what_is_right(
    scene: Scene, policy: Policy
) -> None:
    bins = reliability(judged(policy))
    assert [round(one.confidence, 2) for one in bins] == [0.65, 0.75, 0.85, 0.95]
    assert [one.right.value for one in bins] == [0.0, 1.0, 1.0, 0.0]


def test_the_page_follows_the_threshold_asked_for(scene: Scene, policy: Policy) -> None:
    client = admin_of(scene)
    page = words(client.get(address(scene)))
    assert "2 of 4, exact" in page
    assert "1 of 2" in page
    part = client.get(address(scene), {"version": "1", "multiclass": "0.7"}, HTTP_HX_REQUEST="true")
    assert "3 of 4, exact" in words(part)
    assert "<html" not in part.content.decode()


def test_hours_come_from_the_pace_of_people(scene: Scene, policy: Policy) -> None:
    client = admin_of(scene)
    assert "nobody's pace is known yet" in words(client.get(address(scene))).replace("&#x27;", "'")
    member = make_member(scene.project)
    make_annotation(
        scene.task(None), member, label_of(scene.project, "a"), seconds=1800.0, purpose="label"
    )
    assert "about 2.0 hours" in words(client.get(address(scene)))


@pytest.mark.parametrize("threshold", ["1.5", "-1", "x", "nan"])
def test_what_is_no_threshold_is_refused_in_words(
    scene: Scene, policy: Policy, threshold: str
) -> None:
    answer = admin_of(scene).get(address(scene), {"version": "1", "multiclass": threshold})
    assert answer.status_code == 200
    assert "A threshold is a number from 0 to 1, or empty." in words(answer)


def test_saving_makes_a_draft_that_is_not_certified(scene: Scene, policy: Policy) -> None:
    client = admin_of(scene)
    asked = {"version": "1", "multiclass": "0.7123", "note": "errors are cheap here"}
    answer = client.post(address(scene, "_save"), asked, follow=True)
    assert "Saved as version 2" in words(answer)
    made = Policy.objects.get(version=2)
    assert made.status == Policy.Status.DRAFT
    assert made.rule == {**policy.rule, "threshold": {"multiclass": 0.712}}
    assert made.certificate is None
    assert made.evidence == {
        "kind": "manual",
        "based_on": 1,
        "note": "errors are cheap here",
    }
    assert Event.objects.filter(verb="policy_set_by_hand", object_id=made.pk).exists()


def test_an_empty_threshold_takes_nothing(scene: Scene, policy: Policy) -> None:
    client = admin_of(scene)
    client.post(address(scene, "_save"), {"version": "1", "multiclass": ""})
    assert Policy.objects.get(version=2).rule["threshold"] == {"multiclass": None}


def test_the_same_thresholds_make_no_new_version(scene: Scene, policy: Policy) -> None:
    answer = admin_of(scene).post(
        address(scene, "_save"), {"version": "1", "multiclass": "0.8"}, follow=True
    )
    assert "This is the rule of version 1 already" in words(answer)
    assert Policy.objects.count() == 1


def test_other_sides_than_the_policy_has_are_refused(policy: Policy) -> None:
    with pytest.raises(ActionRefused, match="has the thresholds multiclass"):
        set_by_hand(policy=policy, rule={"threshold": {"yes": 0.5}}, note="", by="test")


def test_a_version_is_activated_and_the_one_before_comes_back(scene: Scene, policy: Policy) -> None:
    client = admin_of(scene)
    client.post(address(scene, "_save"), {"version": "1", "multiclass": "0.7"})
    for version in ("2", "1"):
        client.post(address(scene, "_activate"), {"version": version})
        active = Policy.objects.get(status=Policy.Status.ACTIVE)
        assert str(active.version) == version


@pytest.mark.parametrize("name", ["", "_save", "_activate", "_send_back"])
@pytest.mark.parametrize("role", [Role.REGULAR, Role.EXPERT])
def test_only_admins_of_the_project_find_the_panel(
    scene: Scene, policy: Policy, name: str, role: str
) -> None:
    client = admin_of(scene, role)
    url = address(scene, name)
    asked = {"version": "1", "multiclass": "0.1"}
    answer = client.post(url, asked) if name else client.get(url)
    assert answer.status_code == 404
    assert Policy.objects.count() == 1


def test_a_project_without_a_policy_says_how_to_get_one(scene: Scene) -> None:
    assert "fit_policy shop" in words(admin_of(scene).get(address(scene)))


def test_two_versions_are_compared_at_their_own_thresholds(scene: Scene, policy: Policy) -> None:
    strict = scene.policy("draft", multiclass=0.9)
    found = compare(policy, strict)
    assert (found.first.taken, found.second.taken) == (2, 1)
    assert (found.alike.successes, found.alike.n, found.differently) == (0, 1, 0)
    assert (found.only_first.successes, found.only_first.n) == (1, 1)
    assert found.only_second.n == 0
    page = words(admin_of(scene).get(address(scene), {"version": "1", "against": "2"}))
    assert "both take 1 rows alike, 0 of them rightly" in page


def test_the_page_says_what_a_version_promises_and_for_which_threshold(
    scene: Scene, policy: Policy
) -> None:
    page = words(admin_of(scene).get(address(scene)))
    assert "was not tested" not in page
    certificate = {
        "promise": "conditional",
        "alpha": 0.05,
        "delta": 0.1,
        "errors": 1,
        "accepted": 80,
        "rows": 90,
        "test": 1,
        "groups": None,
        "open_counted_as_errors": 0,
        "rows_hash": "",
    }
    made = scene.policy("draft", multiclass=0.8)
    Policy.objects.filter(pk=made.pk).update(certificate=certificate)
    answer = admin_of(scene).get(address(scene), {"version": "2"})
    page = words(answer)
    assert "with confidence 90% at most 5.0% of the accepted are wrong" in page
    assert "stricter or looser, was not tested" in page
    assert answer.context["drawn"]["certified"] == {
        "threshold": 0.8,
        "coverage": 0.5,
        "least": 0.95,
    }


def test_thresholds_of_groups_are_shown_as_they_are_and_not_moved(scene: Scene) -> None:
    base = scene.policy("draft", multiclass=None)
    groups = {"of": {str(label_of(scene.project, "a").pk): 0}, "threshold": [0.75]}
    Policy.objects.filter(pk=base.pk).update(rule={**base.rule, "groups": groups})
    base.refresh_from_db()
    tally_runs(base)
    client = admin_of(scene)
    page = words(client.get(address(scene), {"multiclass": "0.1"}))
    assert "2 of 4, exact" in page
    assert "a threshold for each group of labels" in page
    client.post(address(scene, "_save"), {"version": "1", "multiclass": "0.1"})
    assert Policy.objects.count() == 1


def accepted_at_all_confidences(scene: Scene, policy: Policy) -> None:
    """Have the policy decide the stream: it takes the two surest of the four tasks."""
    Policy.objects.filter(pk=policy.pk).update(status=Policy.Status.ACTIVE)
    scene.decide()
    assert Resolution.objects.current().filter(source="auto").count() == 2


def test_what_a_stricter_version_would_not_take_goes_back_and_comes_back(
    scene: Scene, policy: Policy
) -> None:
    accepted_at_all_confidences(scene, policy)
    client = admin_of(scene)
    client.post(address(scene, "_save"), {"version": "1", "multiclass": "0.85"})
    client.post(address(scene, "_activate"), {"version": "2"})
    page = words(client.get(address(scene)))
    assert "1 task was accepted by an earlier version and would not be by this one" in page
    said = words(client.post(address(scene, "_send_back"), {"version": "2"}, follow=True))
    assert "1 task goes back to people" in said
    back = Resolution.objects.get(withdrawn_at__isnull=False)
    assert back.decision is not None
    assert back.decision.confidence == pytest.approx(0.8)
    assert back.task.status == "deferred"
    undo_send_back(made=SendBack.objects.get(), by="test")
    back.refresh_from_db()
    assert back.current
    assert Event.objects.filter(verb="send_back_undone").exists()


def test_a_version_with_other_weights_is_no_reason_to_send_anything_back(
    scene: Scene, policy: Policy
) -> None:
    accepted_at_all_confidences(scene, policy)
    other = scene.policy("draft", multiclass=0.99)
    Policy.objects.filter(pk=other.pk).update(rule={**other.rule, "least_mass": 0.5})
    other.refresh_from_db()
    assert no_longer_taken(other).count() == 0
    with pytest.raises(ActionRefused, match="nothing to send back"):
        send_back_no_longer_taken(policy=other, by="test")


# --- Other weights ------------------------------------------------------------------------------


@pytest.fixture
def pair() -> Scene:
    """Two validators of different minds about three tasks of the stream and two rows of *tune*."""
    scene = make_scene(validators=2)
    for one, other in ((0.9, 0.5), (0.4, 0.9), (0.7, 0.7)):
        scene.task({"a": one, "b": 1 - one}, {"a": other, "b": 1 - other})
    scene.task({"a": 0.9, "b": 0.1}, "the server was away")
    for one, other, right in ((0.9, 0.6, True), (0.3, 0.8, False)):
        task = scene.task({"a": one, "b": 1 - one}, {"a": other, "b": 1 - other})
        reference = label_of(scene.project, "a" if right else "c")
        make_benchmark_item(task, "tune", reference="label", reference_label=reference)
    Run.objects.filter(pk=scene.run.pk).update(
        status=Run.Status.COMPLETED, completed_at=scene.run.created_at, planned=6
    )
    tally_runs(scene.policy("active", multiclass=0.65))
    return scene


def asked_of(scene: Scene, *weights: float, **more: str) -> dict[str, str]:
    named = {
        f"weight-{validator.pk}": str(weight)
        for validator, weight in zip(scene.validators, weights, strict=True)
    }
    return {"version": "1", "multiclass": "0.65", "pool": "linear", **named, **more}


def test_other_weights_are_looked_at_on_a_sample_that_is_named_one(pair: Scene) -> None:
    page = words(admin_of(pair).get(address(pair), asked_of(pair, 1, 0)))
    assert "a random sample of 4 of its 4 tasks" in page
    assert "2 of 4 sampled" in page
    assert "1 of 2" in page, "both rows of tune are taken, the second of them wrongly as b"


def test_the_version_s_own_weights_are_counted_exactly(pair: Scene) -> None:
    page = words(admin_of(pair).get(address(pair), {"version": "1", "multiclass": "0.65"}))
    assert "3 of 4, exact" in page


def test_a_sample_agrees_with_the_tallies_under_the_same_rule(pair: Scene) -> None:
    policy = pair.policies[0]
    sampled = sampled_stream(policy, policy.rule)
    counted = stream_of(policy)
    assert sampled is not None
    by_group = dict(zip(sampled.groups, tally.at_least(sampled.counts).tolist(), strict=True))
    assert by_group == dict(
        zip(counted.groups, tally.at_least(counted.counts).tolist(), strict=True)
    )
    assert sampled.tasks == counted.tasks == 4
    own, weighted = judged(policy), weighed(policy, policy.rule)
    assert own.groups == weighted.groups
    assert own.steps.tolist() == weighted.steps.tolist()
    assert own.right.tolist() == weighted.right.tolist()


def test_other_weights_are_saved_with_the_version(pair: Scene) -> None:
    admin_of(pair).post(address(pair, "_save"), asked_of(pair, 3, 1, least_mass="0.2"))
    rule = Policy.objects.get(version=2).rule
    first, second = (str(validator.pk) for validator in pair.validators)
    assert rule["pool"] == "linear"
    assert rule["weights"] == {first: 3.0, second: 1.0}
    assert rule["least_mass"] == 0.2


def test_weights_that_are_all_zero_are_refused_in_words(pair: Scene) -> None:
    client = admin_of(pair)
    page = words(client.get(address(pair), asked_of(pair, 0, 0)))
    assert "At least one validator needs a weight above 0." in page
    client.post(address(pair, "_save"), asked_of(pair, 0, 0))
    assert Policy.objects.count() == 1


def test_a_sample_stands_until_the_stream_has_doubled(pair: Scene) -> None:
    first = StreamSample.objects.get()
    assert draw_sample(pair.configuration) == first
    for _ in range(4):
        pair.task({"a": 0.8, "b": 0.2}, {"a": 0.8, "b": 0.2})
    again = draw_sample(pair.configuration)
    assert again is not None
    assert (again.population, again.tasks) == (8, 8)
