"""Certified policies: what may certify, what a test spends, what the certificate says, what ends
it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction

from labeling.actions.benchmark import import_benchmark
from labeling.actions.certificate_words import certificate_in_words, certificate_notes
from labeling.actions.certify import Promise, certify_policy
from labeling.actions.errors import ActionRefused
from labeling.actions.like_people import fit_like_people, like_people_in_words
from labeling.actions.opinion import gather, opinion
from labeling.actions.policy_kinds import Wanted, give_rule
from labeling.actions.scored import scored_items
from labeling.actions.scorer_rule import with_scorer
from labeling.actions.taxonomy import parse_labels, set_labels
from labeling.models import (
    Annotation,
    BenchmarkAnswer,
    BenchmarkDraw,
    BenchmarkItem,
    BenchmarkLook,
    Configuration,
    DeltaLedger,
    DeltaTest,
    Document,
    LedgerRow,
    Policy,
    Retrieved,
    Task,
)
from labeling.models.run import Frozen
from labeling.statistics.certificates import binomial_p, delta_of_test
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_artifact,
    make_benchmark_item,
    make_member,
)
from tests.labeling.scenes import Scene, make_scene

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return make_scene()


def add(
    scene: Scene, part: str, answer: str, confidence: float, count: int = 1, **fields: Any
) -> list[BenchmarkItem]:
    """Rows on which all validators say `a` at `confidence`, and the experts said `answer`."""
    said = {"a": confidence, "b": (1 - confidence) / 2, "unk": (1 - confidence) / 2}
    outcome: dict[str, Any] = {"reference": answer}
    if answer not in ("unk", "open"):
        outcome = {"reference": "label", "reference_label": label_of(scene.project, answer)}
    return [
        make_benchmark_item(
            scene.task(*[said] * len(scene.validators)), part, **{**outcome, **fields}
        )
        for _ in range(count)
    ]


def parts(scene: Scene, *, certify_wrong: int = 0) -> None:
    """All right at 0.9, mostly wrong at 0.5: the same in *tune* and in *certify*."""
    for part, wrong in (("tune", 0), ("certify", certify_wrong)):
        add(scene, part, "a", 0.9, 14 - wrong)
        add(scene, part, "b", 0.9, wrong)
        add(scene, part, "a", 0.5, 2)
        add(scene, part, "b", 0.5, 5)


def promise(**changed: Any) -> Promise:
    return Promise(**{"kind": "conditional", "most": 0.4, "delta": 0.1, **changed})


def certified(scene: Scene, base: Policy | None = None, **changed: Any) -> Policy:
    base = base or scene.policy("draft", multiclass=0.5)
    return certify_policy(policy=base, promise=promise(**changed), by="test")


# --- The certificate ----------------------------------------------------------------------------


def test_a_certified_policy_accepts_down_to_what_the_test_allows(scene: Scene) -> None:
    """No error among 14 holds (0.6 ** 14); five among 21 do not: the chance is 0.096."""
    parts(scene)
    assert binomial_p(5, 21, 0.4) > delta_of_test(0.1, 1) > binomial_p(0, 14, 0.4)
    policy = certified(scene)
    certificate = policy.certificate
    assert certificate is not None
    assert policy.rule["threshold"] == {"multiclass": pytest.approx(0.9)}
    assert (certificate["accepted"], certificate["errors"], certificate["rows"]) == (14, 0, 21)
    row = scored_items(scene.configuration, ["certify"])[0][0]
    assert opinion(policy, row.evidence, question="multiclass").outcome == "accept"
    low = scored_items(scene.configuration, ["certify"])[0][-1]
    assert opinion(policy, low.evidence, question="multiclass").outcome == "defer"


def test_the_certificate_names_what_it_rests_on(scene: Scene) -> None:
    parts(scene)
    policy = certified(scene)
    certificate = policy.certificate
    assert certificate is not None
    assert certificate["spent"] == pytest.approx(delta_of_test(0.1, 1))
    assert (certificate["alpha"], certificate["delta"], certificate["test"]) == (0.4, 0.1, 1)
    assert certificate["configuration"] == scene.configuration.content_hash
    assert certificate["sampling"] == "random"
    assert certificate["bound"] <= 0.4
    test = DeltaTest.objects.get()
    assert (test.policy, test.number, test.held) == (policy, 1, True)
    assert certificate["rows_hash"] == test.rows_hash
    assert policy.is_certified
    assert "confidence 90%" in certificate_in_words(policy)[0]
    assert certificate_notes(policy) == []


def test_the_next_test_on_the_same_rows_spends_less(scene: Scene) -> None:
    parts(scene)
    for _ in range(3):
        certified(scene)
    assert [test.number for test in DeltaTest.objects.all()] == [1, 2, 3]
    spent = [test.spent for test in DeltaTest.objects.all()]
    assert spent == pytest.approx([delta_of_test(0.1, j) for j in (1, 2, 3)])
    assert DeltaLedger.objects.count() == 1


def test_a_test_that_fails_is_spent_and_tells_no_more_than_that(scene: Scene) -> None:
    parts(scene, certify_wrong=12)
    policy = certified(scene)
    assert policy.certificate is None
    assert not policy.is_certified
    assert policy.rule["threshold"] == {"multiclass": None}
    assert policy.evidence["kind"] == "not_certified"
    assert "errors" not in str(policy.evidence).replace("open_as_errors", "")
    assert DeltaTest.objects.get().held is False
    assert "accepts nothing" in certificate_in_words(policy)[0]
    assert policy.evidence["more_rows"] > 5
    assert str(policy.evidence["more_rows"]) in certificate_in_words(policy)[1]


def test_by_the_share_of_all_more_may_be_accepted(scene: Scene) -> None:
    parts(scene)
    most = certified(scene, kind="joint", most=0.5)
    assert most.rule["threshold"] == {"multiclass": pytest.approx(0.5)}
    assert most.certificate is not None
    assert (most.certificate["promise"], most.certificate["errors"]) == ("joint", 5)
    assert "of all tasks are accepted and wrong" in certificate_in_words(most)[0]


# --- Which rows certify -------------------------------------------------------------------------


def test_rows_that_somebody_chose_do_not_certify(scene: Scene) -> None:
    parts(scene)
    add(scene, "certify", "b", 0.9, 5, sampling="chosen")
    policy = certified(scene)
    assert policy.certificate is not None
    assert (policy.certificate["rows"], policy.certificate["chosen_left_out"]) == (21, 5)
    BenchmarkItem.objects.filter(part="certify").update(sampling="chosen")
    with pytest.raises(ActionRefused, match="was sampled at random"):
        certified(scene)


def test_experts_who_agree_little_do_not_certify_before_somebody_has_looked(scene: Scene) -> None:
    parts(scene)
    items = BenchmarkItem.objects.filter(part="certify")
    for item in items:
        for expert, name in (("eva", "a"), ("otto", "b")):
            BenchmarkAnswer.objects.create(
                item=item, expert=expert, answer="label", label=label_of(scene.project, name)
            )
    with pytest.raises(ActionRefused, match="The experts agree less"):
        certified(scene)
    assert not DeltaTest.objects.exists(), "a refusal spends nothing"
    BenchmarkLook.objects.create(
        project=scene.project,
        part="certify",
        member=make_member(scene.project, "admin"),
        agreement=0.0,
        pairs=items.count(),
        note="b is what otto calls a",
    )
    assert certified(scene).is_certified


def test_a_draw_that_left_out_what_was_trained_on_does_not_certify(scene: Scene) -> None:
    parts(scene)
    BenchmarkDraw.objects.create(
        project=scene.project,
        part="certify",
        sampling="random",
        seed=1,
        population=40,
        drawn=21,
        left_out={"may_have_trained": 3},
    )
    with pytest.raises(ActionRefused, match="3 texts were left out of a draw"):
        certified(scene)


def test_rows_that_are_not_settled_stop_the_test_or_count_as_errors(scene: Scene) -> None:
    parts(scene)
    add(scene, "certify", "open", 0.9, 2)
    with pytest.raises(ActionRefused, match="2 rows of the part “certify” are not settled yet"):
        certified(scene)
    assert not DeltaTest.objects.exists()
    policy = certified(scene, open_as_errors=True)
    assert policy.certificate is not None
    assert (policy.certificate["accepted"], policy.certificate["errors"]) == (16, 2)
    assert policy.certificate["open_counted_as_errors"] == 2
    assert "2 rows that are not settled yet count as errors." in certificate_in_words(policy)


def test_rows_without_verdicts_do_not_count(scene: Scene) -> None:
    parts(scene)
    make_benchmark_item(
        Task.objects.create(project=scene.project, external_id="x", text="x", text_hash="x"),
        "certify",
        reference="unk",
    )
    policy = certified(scene)
    assert policy.certificate is not None
    assert (policy.certificate["rows"], policy.certificate["not_scored"]) == (21, 1)


def test_a_stratified_sample_certifies_by_its_probabilities(scene: Scene) -> None:
    parts(scene)
    rows = BenchmarkItem.objects.filter(part="certify")
    rows.update(sampling="stratified", inclusion_probability=None)
    with pytest.raises(ActionRefused, match="is not known"):
        certified(scene)
    rows.update(inclusion_probability=0.25)
    policy = certified(scene)
    assert policy.certificate is not None
    assert policy.certificate["sampling"] == "stratified"
    with pytest.raises(ActionRefused, match="draw a random sample"):
        certified(scene, kind="joint")


def test_only_fresh_rows_open_another_ledger(scene: Scene) -> None:
    parts(scene)
    certified(scene)
    with pytest.raises(ActionRefused, match="is not used up"):
        certified(scene, fresh=True)
    add(scene, "certify", "a", 0.9, 10)
    fresh = certified(scene, fresh=True)
    assert fresh.certificate is not None
    assert (fresh.certificate["test"], fresh.certificate["rows"]) == (1, 10)
    assert DeltaLedger.objects.count() == 2
    both = DeltaTest.objects.get(policy=certified(scene))
    assert both.number == 3, "tests in either ledger were on some of these rows"


def test_the_database_keeps_the_ledger(scene: Scene) -> None:
    parts(scene)
    certified(scene)
    test, row = DeltaTest.objects.get(), LedgerRow.objects.all()[0]
    other = DeltaLedger.objects.create(project=scene.project)
    with pytest.raises(IntegrityError), transaction.atomic():
        LedgerRow.objects.create(ledger=other, item=row.item)
    policy = scene.policy("draft", multiclass=0.5)
    same = {"ledger": test.ledger, "policy": policy, "delta": 0.1, "held": True, "rows_hash": ""}
    with pytest.raises(IntegrityError), transaction.atomic():
        DeltaTest.objects.create(number=1, spent=0.05, **same)
    with pytest.raises(IntegrityError), transaction.atomic():
        DeltaTest.objects.create(number=2, spent=0.2, **same)
    test.held = False
    with pytest.raises(Frozen):
        test.save()


# --- What ends a certificate --------------------------------------------------------------------


def test_a_changed_answer_of_the_benchmark_is_told(scene: Scene) -> None:
    parts(scene)
    policy = certified(scene)
    item = BenchmarkItem.objects.filter(part="certify")[0]
    answers = [{"external_id": item.task.external_id, "label": "b", "expert": "e"}]
    import_benchmark(
        project=scene.project, part="certify", sampling="random", items=answers, by="test"
    )
    assert certificate_notes(policy) == [
        "Rows of the benchmark behind this certificate have changed since."
    ]


@pytest.mark.parametrize(
    ("change", "voids"),
    [
        ({"name": "a!"}, False),
        ({"description": "What fits here"}, True),
        ({"examples": ["one more"]}, True),
        ({"key": "new"}, True),
    ],
)
def test_any_change_of_labels_but_a_typo_ends_it(
    scene: Scene, change: dict[str, Any], voids: bool
) -> None:
    parts(scene)
    labels: list[dict[str, Any]] = [
        {"key": label.key, "name": label.name} for label in scene.project.labels.order_by("pk")
    ]
    set_labels(project=scene.project, specs=parse_labels(labels), by="test")
    policy = certified(scene)
    labels[0] |= change
    set_labels(project=scene.project, specs=parse_labels(labels), by="test")
    policy = Policy.objects.get(pk=policy.pk)
    assert policy.is_certified is not voids
    assert bool(certificate_notes(policy)) is voids


# --- Groups, off-topic texts, cascades ----------------------------------------------------------


def test_groups_of_labels_are_certified_each_with_its_threshold(scene: Scene) -> None:
    for part in ("tune", "certify"):
        for label, wrong_label, wrong in (("a", "b", 0), ("b", "a", 12)):
            for number in range(24):
                said = {label: 0.9, wrong_label: 0.05, "unk": 0.05}
                truth = wrong_label if number < wrong else label
                make_benchmark_item(
                    scene.task(*[said] * len(scene.validators)),
                    part,
                    reference="label",
                    reference_label=label_of(scene.project, truth),
                )
    policy = certified(scene, groups=2)
    good, bad = (str(label_of(scene.project, name).pk) for name in "ab")
    assert policy.rule["groups"]["of"] == {good: 0, bad: 1}
    assert policy.rule["groups"]["threshold"] == [pytest.approx(0.9), None]
    assert policy.certificate is not None
    assert policy.certificate["simultaneous"] is True
    assert policy.certificate["groups"][0]["delta"] == pytest.approx(delta_of_test(0.1, 1) / 2)
    assert policy.evidence["groups"][1]["errors"] is None
    assert "cannot be certified" in certificate_in_words(policy)[-1]
    for row in scored_items(scene.configuration, ["certify"])[0]:
        found = opinion(policy, row.evidence, question="multiclass")
        assert (found.outcome == "accept") == (str(found.label_id) == good)
    alone = certified(scene, groups=2, each_alone=True)
    assert alone.certificate is not None
    assert alone.certificate["groups"][0]["delta"] == pytest.approx(delta_of_test(0.1, 2))
    by_hand = give_rule(policy=policy, wanted=Wanted("manual", threshold=0.5), by="test")
    assert "groups" not in by_hand.rule


def test_off_topic_texts_have_a_promise_of_their_own(scene: Scene) -> None:
    """Of 14 texts that fit no label none is accepted above 0.65: so at most 30 % are."""
    for part in ("tune", "certify"):
        add(scene, part, "a", 0.9, 21)
        add(scene, part, "a", 0.7, 21)
        add(scene, part, "unk", 0.65, 14)
    without = certified(scene)
    assert without.rule["threshold"]["multiclass"] == pytest.approx(0.65)
    policy = certified(scene, off_topic=0.3)
    assert policy.rule["threshold"]["multiclass"] == pytest.approx(0.7)
    assert policy.certificate is not None
    assert policy.certificate["off_topic"] == {"share": 0.3, "rows": 14, "accepted": 0}
    BenchmarkItem.objects.filter(part="certify", reference="unk").update(
        reference="label", reference_label=label_of(scene.project, "b")
    )
    assert not certified(scene, off_topic=0.3).is_certified


def test_a_cascade_is_certified_end_to_end(scene: Scene) -> None:
    first, second = (validator.pk for validator in scene.validators)
    unsure = {"a": 0.4, "b": 0.4, "unk": 0.2}
    for part in ("tune", "certify"):
        for number in range(40):
            sure = {"a": 0.9, "b": 0.05, "unk": 0.05} if number % 2 else unsure
            made = scene.task(sure, {"a": 0.9 if number % 8 else 0.4, "b": 0.05, "unk": 0.05})
            truth = label_of(scene.project, "a" if number % 8 else "b")
            make_benchmark_item(made, part, reference="label", reference_label=truth)
    base = scene.policy("draft", multiclass=0.5)
    base.rule["stages"] = [{"validators": [first], "threshold": {"multiclass": 0.8}}]
    policy = certified(scene, base)
    assert policy.certificate is not None
    assert policy.certificate["errors"] <= policy.certificate["accepted"] * 0.4
    accepted = errors = 0
    for row in scored_items(scene.configuration, ["certify"])[0]:
        found = opinion(policy, row.evidence, question="multiclass")
        accepted += found.outcome == "accept"
        errors += found.outcome == "accept" and not row.is_right(found.label_id)
    assert (accepted, errors) == (
        policy.certificate["accepted"],
        policy.certificate["errors"],
    )
    assert accepted >= 30
    assert second in policy.rule["validators"]


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"kind": "forever"}, "There is no promise"),
        ({"most": 0.0}, "lie between 0 and 1"),
        ({"delta": 1.0}, "lie between 0 and 1"),
        ({"groups": -1}, "1 to 50 groups"),
        ({"groups": 2, "kind": "joint"}, "Groups of labels are certified"),
    ],
)
def test_what_cannot_be_promised_is_refused_before_anything_is_spent(
    scene: Scene, changed: dict[str, Any], sentence: str
) -> None:
    parts(scene)
    with pytest.raises(ActionRefused, match=sentence):
        certified(scene, **changed)
    assert not DeltaTest.objects.exists()


def test_an_empty_benchmark_is_refused(scene: Scene) -> None:
    with pytest.raises(ActionRefused, match="20 are needed"):
        certified(scene)


# --- Scorer, people, command --------------------------------------------------------------------


def test_without_rows_to_learn_from_the_probability_stays(scene: Scene) -> None:
    parts(scene)
    base = scene.policy("draft", multiclass=0.5)
    policy = certify_policy(policy=base, promise=promise(), by="test", scorer=True)
    assert policy.evidence["scorer"] == {"used": False, "why": "few_rows", "rows": 0}
    assert "scorer" not in policy.rule


def test_a_scorer_that_ranks_better_on_tune_is_used(scene: Scene) -> None:
    """The pooled probability is the same everywhere; only the disagreement tells."""
    agree = {"a": 0.7, "b": 0.2, "unk": 0.1}
    apart = ({"a": 0.95, "b": 0.02, "unk": 0.03}, {"a": 0.45, "b": 0.38, "unk": 0.17})
    for part, rows in (("fit", 60), ("tune", 40), ("certify", 30)):
        for number in range(rows):
            right = number % 3 > 0
            made = scene.task(agree, agree) if right else scene.task(*apart)
            truth = label_of(scene.project, "a" if right else "b")
            make_benchmark_item(made, part, reference="label", reference_label=truth)
    base = scene.policy("draft", multiclass=0.5)
    assert with_scorer(base.rule, scene.configuration)[1]["used"] is True
    with_it = certify_policy(
        policy=base, promise=promise(), by="test", scorer=True, calibration="venn_abers"
    )
    assert with_it.certificate is not None
    assert (with_it.certificate["accepted"], with_it.certificate["errors"]) == (20, 0)
    assert with_it.rule["calibration"]["kind"] == "venn_abers"
    assert not certified(scene, base).is_certified


def test_a_scorer_may_go_by_the_documents_that_were_found(scene: Scene) -> None:
    """Verdicts are the same everywhere; only the best document's score tells."""
    index = make_artifact(scene.project, "document_index")
    content = {**scene.configuration.content, "document_index": index.digest, "retrieval": "r"}
    Configuration.objects.filter(pk=scene.configuration.pk).update(content=content)
    scene.configuration.refresh_from_db()
    document = Document.objects.create(
        project=scene.project, external_id="d", title="t", text="x", content_hash="h"
    )
    said = {"a": 0.7, "b": 0.2, "unk": 0.1}
    for part, rows in (("fit", 60), ("tune", 40)):
        for number in range(rows):
            right = number % 3 > 0
            made = scene.task(said, said)
            truth = label_of(scene.project, "a" if right else "b")
            make_benchmark_item(made, part, reference="label", reference_label=truth)
            Retrieved.objects.create(
                task=made,
                revision=made.revision,
                index=index,
                method="r",
                document=document,
                rank=1,
                score=0.9 if right else 0.2,
                passage="x",
            )
    base = scene.policy("draft", multiclass=0.5)
    rule, evidence = with_scorer(base.rule, scene.configuration)
    assert evidence["used"] is True
    for row in scored_items(scene.configuration, ["tune"])[0]:
        found = opinion(Policy(rule=rule), row.evidence, question="multiclass")
        taken = found.outcome == "accept"
        assert taken == (row.item.reference_label_id == label_of(scene.project, "a").pk)
        run = row.evidence.ranking.run if row.evidence.ranking else None
        assert run is not None
        assert gather(run, [row.item.task_id])[row.item.task_id].documents == row.evidence.documents


def test_the_rule_of_the_paper_compares_and_promises_nothing(scene: Scene) -> None:
    regular = make_member(scene.project, "regular")
    for part in ("tune", "test"):
        for number, item in enumerate(
            [*add(scene, part, "a", 0.9, 20), *add(scene, part, "b", 0.5, 10)]
        ):
            # The person is right in nine cases of ten, the machine only where it is sure.
            said = item.reference_label if number % 10 else label_of(scene.project, "b")
            assert said is not None
            make_annotation(item.task, regular, said)
    base = scene.policy("draft", multiclass=0.5)
    policy = fit_like_people(policy=base, margin=0.0, by="test")
    assert policy.rule["threshold"] == {"multiclass": pytest.approx(0.9)}
    assert policy.certificate is None
    gain = policy.evidence["test"]["gain"]
    assert gain["value"] == pytest.approx(0.1)
    assert gain["low"] <= 0.1 <= gain["high"]
    assert "promises nothing" in like_people_in_words(policy)[0]
    lax = fit_like_people(policy=base, margin=0.9, by="test")
    assert lax.rule["threshold"] == {"multiclass": pytest.approx(0.5)}
    Annotation.objects.all().delete()
    with pytest.raises(ActionRefused, match="are needed to compare"):
        fit_like_people(policy=base, margin=0.0, by="test")


def test_the_command_certifies(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    parts(scene)
    monkeypatch.setattr(
        "labeling.management.commands.fit_policy.configuration_for",
        lambda version: scene.configuration,
    )
    out = io.StringIO()
    wanted = ["--rule", "conditional", "--alpha", "0.4", "--delta", "0.1"]
    call_command("fit_policy", scene.project.slug, *wanted, "--activate", stdout=out)
    said = out.getvalue()
    assert "Certified: with confidence 90% at most 40.0% of the accepted are wrong." in said
    assert "Test 1 on these rows: 0 errors among 14 accepted of 21." in said
    assert Policy.objects.get(status="active").is_certified
