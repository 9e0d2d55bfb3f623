"""What must never happen is refused by the database: one test for each constraint of the models."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from labeling.models import (
    Answered,
    ApiToken,
    BenchmarkLook,
    Document,
    DoubleCheck,
    Embedding,
    Erasure,
    GuidelineVersion,
    Heartbeat,
    Label,
    LabelAlias,
    Lease,
    MachineSeen,
    MappedName,
    Member,
    OnboardingText,
    PlanRow,
    Project,
    Ranking,
    Reasoning,
    RefusedRow,
    Registration,
    Resolution,
    Run,
    SendBack,
    StageTiming,
    SupersededText,
    Tally,
    Task,
    TaxonomyVersion,
    Upload,
    User,
    WeekProfile,
)
from tests.labeling.builders import (
    make_annotation,
    make_artifact,
    make_benchmark_item,
    make_configuration,
    make_decision,
    make_member,
    make_policy,
    make_prediction,
    make_run,
    make_task,
    make_upload,
    make_user,
    make_validator,
)
from tests.labeling.violations import (
    Cast,
    a_policy,
    alarm,
    annotation,
    assigned_task,
    assignment,
    audit_draw,
    audit_pick,
    benchmark_answer,
    benchmark_draw,
    change,
    decision,
    delivery,
    delta_test,
    flag,
    helpful,
    invitation,
    mapping,
    note,
    notice,
    observation,
    onboarding,
    onboarding_items,
    pool,
    pool_draw,
    preview,
    reasoning,
    rejection,
    resolution,
    retrieved,
    skip,
    snapshot,
    the_label,
    threshold,
    twice,
    two_runs_of,
    verdict,
    webhook,
)

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


Case = tuple[str, Callable[[Cast], object]]

CASES: list[Case] = [
    # Projects and members
    ("project_answers_at_most_ge_needed", change(Project, answers_needed=3, answers_at_most=2)),
    ("project_blind_share_is_share", change(Project, blind_share=1.1)),
    ("project_gold_share_is_share", change(Project, gold_share=1.1)),
    ("project_repeat_share_is_share", change(Project, repeat_share=-0.1)),
    ("project_least_agreement_is_share", change(Project, least_agreement=2)),
    ("project_audit_share_is_share", change(Project, audit_share=-0.1)),
    ("project_target_accuracy_is_share", change(Project, target_accuracy=95)),
    ("project_least_mass_is_share", change(Project, least_mass=1.5)),
    ("project_least_similarity_is_share", change(Project, least_similarity=-0.5)),
    ("project_seconds_per_answer_positive", change(Project, seconds_per_answer=0.0)),
    ("project_hourly_rate_not_negative", change(Project, hourly_rate=-1.0)),
    ("project_budget_not_negative", change(Project, budget_money=-1.0)),
    ("project_documents_found_ge_kept", change(Project, documents_found=4, documents_kept=5)),
    (
        "member_once_per_project",
        lambda c: Member.objects.create(project=c.project, user=c.member.user, name="again"),
    ),
    ("member_role_known", change(Member, role="owner")),
    # Labels
    (
        "label_key_once_per_project",
        lambda c: Label.objects.create(project=c.project, key="a", name="another"),
    ),
    (
        "label_name_once_per_project",
        lambda c: Label.objects.create(project=c.project, key="z", name="a"),
    ),
    (
        "label_alias_once_per_project",
        twice(lambda c: LabelAlias.objects.create(project=c.project, name="old", label=c.label)),
    ),
    ("mapping_once_per_project", twice(mapping(make=True))),
    (
        "mapped_name_once",
        twice(lambda c: MappedName.objects.create(mapping=mapping()(c), name="X", label=c.label)),
    ),
    (
        "taxonomy_number_once",
        lambda c: TaxonomyVersion.objects.create(
            project=c.project, number=1, label_ids=[], content_hash=""
        ),
    ),
    # Tasks
    (
        "task_external_id_once_per_project",
        twice(lambda c: make_task(c.project, external_id="same")),
    ),
    ("task_status_known", change(Task, status="lost")),
    ("task_binary_names_its_label", change(Task, question="binary")),
    (
        "task_binary_names_its_label",
        lambda c: Task.objects.update(asked_label=c.label),
    ),
    ("task_revision_from_one", change(Task, revision=0)),
    (
        "superseded_text_once",
        twice(lambda c: SupersededText.objects.create(task=c.task, revision=1, text="old")),
    ),
    (
        "embedding_once",
        twice(lambda c: Embedding.objects.create(text_hash="h", encoder="e", vector=b"")),
    ),
    # Predictions
    (
        "model_version_once",
        twice(lambda c: c.project.model_versions.create(name="m", score_kind="logits")),
    ),
    (
        "score_kind_known",
        lambda c: c.project.model_versions.create(name="m", score_kind="votes"),
    ),
    ("prediction_once", twice(lambda c: make_prediction(c.task))),
    (
        "prediction_confidence_is_probability",
        lambda c: (make_prediction(c.task), c.task.predictions.update(confidence=1.01)),
    ),
    ("hard_threshold_one_current", twice(threshold())),
    ("hard_threshold_from_errors", threshold(misclassified=0)),
    ("hard_threshold_from_errors", threshold(misclassified=11)),
    # Writes with a key
    (
        "answered_key_once",
        twice(lambda c: Answered.objects.create(caller="token-1", key="k", digest="d")),
    ),
    (
        "answered_is_no_failure",
        lambda c: Answered.objects.create(caller="token-1", key="k", digest="d", status=500),
    ),
    # Uploads
    (
        "upload_kind_known",
        lambda c: Upload.objects.create(
            project=c.project,
            member=make_member(c.project),
            kind="riddle",
            name="a.csv",
            file="f/a.csv",
        ),
    ),
    ("upload_has_its_file_until_it_ended", lambda c: make_upload(c.project, file="")),
    ("upload_has_its_file_until_it_ended", lambda c: make_upload(c.project, status="done")),
    (
        "refused_row_once",
        lambda c: RefusedRow.objects.bulk_create(
            [
                RefusedRow(upload=upload, row=1, message="m")
                for upload in [make_upload(c.project)] * 2
            ]
        ),
    ),
    (
        "project_purged_is_archived",
        lambda c: Project.objects.filter(pk=c.project.pk).update(purge_begun_at=timezone.now()),
    ),
    # Erasures
    (
        "erasure_says_why",
        lambda c: Erasure.objects.create(project=c.project, task=c.task, actor="t", reason=""),
    ),
    # Snapshots
    ("snapshot_number_once", twice(snapshot())),
    ("snapshot_kept_waits_or_failed", snapshot(status="done")),
    ("snapshot_kept_waits_or_failed", snapshot(status="failed")),
    ("snapshot_kept_waits_or_failed", snapshot(sha256="f" * 64, file="1/1.gz")),
    ("snapshot_erased_within_rows", snapshot(rows=1, erased=2)),
    # Webhooks
    ("webhook_names_its_secret", webhook(secret_variable="SECRET_KEY")),
    ("webhook_ended_is_not_active", webhook(ended_at=timezone.now())),
    ("notice_event_known", notice(event="invented")),
    ("delivery_number_once", twice(delivery())),
    ("delivery_waits_or_ended", delivery(status="delivered")),
    ("delivery_waits_or_ended", delivery(status="dead", finished_at=timezone.now())),
    ("delivery_waits_or_ended", delivery(finished_at=timezone.now())),
    # Artifacts, configurations, runs
    ("artifact_version_once", twice(lambda c: make_artifact(c.project, version=7))),
    ("artifact_one_active_per_kind", twice(lambda c: make_artifact(c.project, active=True))),
    (
        "configuration_once_per_content",
        lambda c: c.project.configurations.create(
            content_hash=c.run.configuration.content_hash, content={}
        ),
    ),
    ("run_one_open_per_configuration", two_runs_of),
    ("run_decide_names_its_source", lambda c: make_run(c.project, kind="decide")),
    ("run_decide_names_its_source", lambda c: make_run(c.project, source_run=c.run)),
    ("run_completed_has_time", change(Run, status="completed")),
    ("run_completed_has_time", lambda c: Run.objects.update(completed_at=timezone.now())),
    ("run_paused_takes_no_tasks", lambda c: Run.objects.update(paused_at=timezone.now())),
    (
        "run_paused_takes_no_tasks",
        lambda c: Run.objects.update(
            status="closed", paused_at=timezone.now(), cancelled_at=timezone.now()
        ),
    ),
    ("run_cancelled_takes_no_tasks", lambda c: Run.objects.update(cancelled_at=timezone.now())),
    (
        "plan_row_once_per_run",
        twice(
            lambda c: PlanRow.objects.create(
                run=c.run,
                task=c.task,
                revision=1,
                prediction=c.task.prediction or make_prediction(c.task),
            )
        ),
    ),
    (
        "plan_stage_known",
        lambda c: PlanRow.objects.create(
            run=c.run, task=c.task, revision=1, prediction=make_prediction(c.task), stage="lost"
        ),
    ),
    (
        "heartbeat_once_per_queue",
        twice(
            lambda c: Heartbeat.objects.create(worker="w1", queue="llm", beaten_at=timezone.now())
        ),
    ),
    ("timing_once", twice(lambda c: StageTiming.objects.create(run=c.run, stage="rerank"))),
    (
        "ranking_once",
        twice(
            lambda c: Ranking.objects.create(
                run=c.run, task=c.task, revision=1, hard=None, candidates=[]
            )
        ),
    ),
    # Policies and decisions
    ("policy_version_once", twice(lambda c: make_policy(c.project, version=1))),
    ("policy_one_active", twice(lambda c: make_policy(c.project, status="active"))),
    ("decision_live_once_per_run", twice(decision())),
    ("decision_shadow_once_per_policy", twice(decision(mode="shadow", policy=a_policy))),
    ("decision_accepts_a_label_or_says_why", decision(reason="")),
    ("decision_accepts_a_label_or_says_why", decision(outcome="accept", reason="")),
    (
        "decision_accepts_a_label_or_says_why",
        decision(label=the_label, policy=None),
    ),
    (
        "decision_accepts_a_label_or_says_why",
        decision(label=the_label, confidence=None),
    ),
    (
        "decision_rejects_only_when_asked",
        decision(label=the_label, outcome="reject"),
    ),
    ("rejection_once", rejection),
    ("audit_probability_positive", audit_draw(0.0)),
    ("audit_probability_positive", audit_draw(1.5)),
    # What policies spend, what runs are counted as, and previews
    ("delta_test_once", lambda c: [delta_test(c) for _ in range(2)]),
    ("delta_test_spends_part_of_delta", lambda c: delta_test(c, spent=0.2)),
    ("delta_test_spends_part_of_delta", lambda c: delta_test(c, number=0)),
    (
        "tally_once",
        twice(
            lambda c: Tally.objects.create(run=c.run, scoring="s", groups=[], counts=b"", tasks=0)
        ),
    ),
    ("preview_newest_alone", twice(preview)),
    ("preview_waits_is_made_or_failed", lambda c: preview(c, status="done")),
    ("preview_waits_is_made_or_failed", lambda c: preview(c, status="failed")),
    # Validators and verdicts
    (
        "registration_one_at_a_time",
        lambda c: [
            Registration.objects.create(project=c.project, options={}, actor="test")
            for _ in range(2)
        ],
    ),
    (
        "registration_ended_has_time",
        lambda c: Registration.objects.create(
            project=c.project, options={}, actor="test", status="done"
        ),
    ),
    (
        "validator_prices_not_negative",
        lambda c: make_validator(c.project, price_cached=-0.1),
    ),
    ("validator_version_once", twice(lambda c: make_validator(c.project, "v", active=False))),
    (
        "validator_one_active_version",
        lambda c: [make_validator(c.project, "v", version=n) for n in (1, 2)],
    ),
    ("validator_local_has_artifact", lambda c: make_validator(c.project, kind="knn")),
    ("verdict_once_multiclass", twice(verdict())),
    ("verdict_once_binary", twice(verdict(question="binary", asked_label=the_label))),
    ("verdict_binary_names_its_label", verdict(question="binary")),
    ("verdict_binary_names_its_label", verdict(asked_label=the_label)),
    ("verdict_answers_or_fails", verdict(mass=1.5)),
    ("verdict_answers_or_fails", verdict(mass=0.9, failure="timed out")),
    (
        "reasoning_once",
        lambda c: [
            Reasoning.objects.create(task=c.task, revision=1, validator=validator, text="so")
            for validator in [make_validator(c.project)] * 2
        ],
    ),
    ("reasoning_says_or_fails", reasoning(text="so", failure="It said nothing.")),
    ("reasoning_says_or_fails", reasoning(text="", failure="")),
    # What people answer
    ("annotation_one_current_multiclass", twice(annotation())),
    (
        "annotation_one_current_binary",
        twice(annotation(question="binary", asked_label=the_label, answer="yes", label=None)),
    ),
    (
        "annotation_client_id_once",
        twice(annotation(client_id=lambda _c: uuid.UUID(int=1), current=False)),
    ),
    ("annotation_answer_fits_question", annotation(answer="yes", label=None)),
    ("annotation_answer_fits_question", annotation(asked_label=the_label)),
    ("annotation_answer_fits_question", annotation(question="binary", answer="yes", label=None)),
    (
        "annotation_answer_fits_question",
        annotation(question="binary", asked_label=the_label, answer="label"),
    ),
    ("annotation_label_iff_label", annotation(label=None)),
    ("annotation_label_iff_label", annotation(answer="conf")),
    ("annotation_unk_has_reason", annotation(answer="unk", label=None)),
    ("annotation_unk_has_reason", annotation(answer="unk", label=None, unk_reason="boring")),
    ("annotation_unk_has_reason", annotation(unk_reason="bad_data")),
    (
        "lease_once",
        twice(
            lambda c: Lease.objects.create(task=c.task, member=c.member, expires_at=timezone.now())
        ),
    ),
    # The benchmark
    (
        "benchmark_text_in_one_place",
        lambda c: [
            make_benchmark_item(make_task(c.project, text=text), part)
            for text, part in (("Same  text", "tune"), ("same TEXT", "test"))
        ],
    ),
    ("benchmark_part_known", lambda c: make_benchmark_item(c.task, "train")),
    ("benchmark_sampling_known", lambda c: make_benchmark_item(c.task, sampling="guess")),
    (
        "benchmark_reference_label_iff_label",
        lambda c: make_benchmark_item(c.task, reference="label"),
    ),
    (
        "benchmark_reference_label_iff_label",
        lambda c: make_benchmark_item(c.task, reference="unk", reference_label=c.label),
    ),
    ("onboarding_round_once", twice(onboarding(outcome="passed", finished_at=timezone.now()))),
    (
        "onboarding_one_open",
        lambda c: (onboarding()(c), onboarding(number=2)(c)),
    ),
    ("onboarding_finished_iff_over", onboarding(outcome="passed")),
    ("onboarding_finished_iff_over", onboarding(finished_at=timezone.now())),
    ("onboarding_pass_mark_is_share", onboarding(pass_mark=1.1)),
    ("onboarding_task_once", lambda c: onboarding_items({"task": c.task}, {"task": c.task})(c)),
    ("onboarding_place_once", onboarding_items({"place": 1}, {"place": 1})),
    ("onboarding_item_answered_whole", onboarding_items({"is_right": True})),
    (
        "onboarding_text_explained_by_somebody",
        lambda c: OnboardingText.objects.create(task=c.task, explanation="why"),
    ),
    ("project_onboarding_tasks_in_range", change(Project, onboarding_tasks=101)),
    ("project_onboarding_pass_mark_is_share", change(Project, onboarding_pass_mark=1.1)),
    ("project_daily_goal_in_range", change(Project, daily_goal=10_001)),
    ("member_daily_goal_in_range", change(Member, daily_goal=10_001)),
    ("project_audit_check_share_in_range", change(Project, audit_check_share=0.01)),
    ("project_monitor_delta_in_range", change(Project, monitor_delta=0.0)),
    ("audit_check_probability_positive", lambda c: audit_draw(check_probability=0.0)(c)),
    ("audit_observed_once", twice(lambda c: observation(c))),
    ("audit_observation_probability_positive", lambda c: observation(c, probability=0.0)),
    ("pool_method_known", lambda c: pool(c, method="guess")),
    ("pool_levels_in_range", lambda c: pool(c, alpha=0.0)),
    ("pool_levels_in_range", lambda c: pool(c, delta=1.0)),
    ("pool_sample_within", lambda c: pool(c, sample_size=10)),
    (
        "pool_draw_place_once",
        lambda c: (pool_draw(c), pool_draw(c, task=make_task(c.project))),
    ),
    ("pool_draw_task_once", lambda c: (pool_draw(c), pool_draw(c, place=1))),
    ("pool_draw_answered_whole", lambda c: pool_draw(c, wrong=False)),
    ("alarm_did_known", lambda c: alarm(c, did="shouted")),
    ("alarm_tightened_names_policy", lambda c: alarm(c, did="tightened")),
    (
        "alarm_tightened_names_policy",
        lambda c: alarm(c, stricter=make_policy(c.project)),
    ),
    ("alarm_closed_says_why", lambda c: alarm(c, closed_at=timezone.now())),
    (
        "send_back_undone_says_how_many",
        lambda c: SendBack.objects.create(
            project=c.project, policy=make_policy(c.project), undone_at=timezone.now()
        ),
    ),
    (
        "week_profile_once",
        twice(
            lambda c: WeekProfile.objects.create(
                project=c.project, week=timezone.localdate(), rows=1, profile={}
            )
        ),
    ),
    (
        "benchmark_inclusion_is_probability",
        lambda c: make_benchmark_item(c.task, inclusion_probability=0.0),
    ),
    (
        "benchmark_drawn_has_inclusion",
        lambda c: make_benchmark_item(c.task, draw=benchmark_draw()(c)),
    ),
    ("benchmark_draw_from_population", benchmark_draw(drawn=6)),
    ("benchmark_draw_from_population", benchmark_draw(drawn=0)),
    ("benchmark_draw_part_known", benchmark_draw(part="train")),
    ("benchmark_draw_certify_is_random", benchmark_draw(sampling="stratified")),
    ("benchmark_draw_certify_is_random", benchmark_draw(sampling="chosen", part="tune")),
    (
        "benchmark_answer_one_adjudicates",
        lambda c: [benchmark_answer(expert=name, adjudicates=True)(c) for name in "xy"],
    ),
    (
        "benchmark_answer_here_has_member",
        lambda c: benchmark_answer(annotation=make_annotation(c.task, c.member, c.label))(c),
    ),
    (
        "benchmark_look_says_why",
        lambda c: BenchmarkLook.objects.create(
            project=c.project, part="tune", member=c.member, pairs=1, note=""
        ),
    ),
    (
        "machine_seen_once",
        twice(lambda c: MachineSeen.objects.create(member=c.member, task=c.task, revision=1)),
    ),
    (
        "guideline_number_once_per_project",
        twice(lambda c: GuidelineVersion.objects.create(project=c.project, number=1)),
    ),
    (
        "guideline_number_once_per_label",
        twice(
            lambda c: GuidelineVersion.objects.create(project=c.project, label=c.label, number=1)
        ),
    ),
    (
        "double_check_closed_with_an_outcome",
        lambda c: DoubleCheck.objects.create(
            annotation=make_annotation(c.task, c.member, c.label),
            decision=make_decision(c.task, c.run, c.label),
            outcome="kept",
        ),
    ),
    ("assignment_to_a_member_or_a_role", assignment()),
    ("assignment_to_a_member_or_a_role", assignment(role="king")),
    (
        "assignment_to_a_member_or_a_role",
        assignment(role="regular", member=lambda c: c.member),
    ),
    ("assigned_once_at_a_time", twice(assigned_task)),
    ("audit_pick_answered_whole", audit_pick(wrong=True)),
    ("audit_pick_answered_whole", audit_pick(answered_at=lambda _c: timezone.now())),
    ("skip_one_current", twice(skip())),
    ("skip_for_a_known_reason", skip(reason="bored")),
    ("skip_for_a_known_reason", skip(reason="later")),
    ("skip_for_a_known_reason", skip(until=lambda _c: timezone.now())),
    ("flag_one_open", twice(flag())),
    ("flag_closed_by_somebody", flag(closed_at=lambda _c: timezone.now())),
    ("flag_closed_by_somebody", flag(closed_by=lambda c: c.member)),
    ("benchmark_answer_one_multiclass", twice(benchmark_answer())),
    (
        "benchmark_answer_one_binary",
        twice(benchmark_answer(question="binary", asked_label=the_label, answer="no", label=None)),
    ),
    ("benchmark_answer_fits_question", benchmark_answer(answer="yes", label=None)),
    ("benchmark_answer_fits_question", benchmark_answer(question="binary")),
    ("benchmark_answer_label_iff_label", benchmark_answer(label=None)),
    ("benchmark_answer_label_iff_label", benchmark_answer(answer="unk")),
    # Documents
    (
        "document_external_id_once",
        twice(lambda c: Document.objects.create(project=c.project, external_id="d", text="x")),
    ),
    ("retrieved_rank_once", retrieved),
    ("helpful_document_once_per_member", helpful),
    # Invitations
    ("invitation_role_known", invitation(role="guest")),
    ("invitation_accepted_or_revoked", invitation(accepted_at=timezone.now())),
    (
        "invitation_accepted_or_revoked",
        invitation(
            accepted_at=timezone.now(),
            accepted_by=lambda c: c.member,
            revoked_at=timezone.now(),
        ),
    ),
    # Notes
    ("note_says_something", note(text="")),
    ("note_goes_to_somebody_else", note(by=lambda c: c.member)),
    # Resolutions
    ("resolution_one_current", twice(resolution())),
    ("resolution_source_known", resolution(source="guess")),
    ("resolution_auto_has_decision_and_label", resolution(source="auto")),
    (
        "resolution_auto_has_decision_and_label",
        resolution(decision=lambda c: make_decision(c.task, c.run, c.label)),
    ),
    (
        "resolution_auto_has_decision_and_label",
        resolution(
            source="auto",
            outcome="unk",
            label=None,
            decision=lambda c: make_decision(c.task, c.run, c.label),
        ),
    ),
    (
        "resolution_only_duplicates_have_an_original",
        resolution(
            original=lambda c: Resolution.objects.create(
                task=make_task(c.task.project), revision=1, label=c.label, source="single"
            )
        ),
    ),
    ("resolution_label_iff_label", resolution(label=None)),
    ("resolution_label_iff_label", resolution(outcome="conf")),
    ("resolution_withdrawn_says_when_and_why", resolution(current=False)),
    (
        "resolution_withdrawn_says_when_and_why",
        resolution(current=False, withdrawn_at=lambda _c: timezone.now()),
    ),
    (
        "resolution_withdrawn_says_when_and_why",
        resolution(withdrawn_at=lambda _c: timezone.now()),
    ),
]


def constraints() -> dict[str, tuple[type[models.Model], models.BaseConstraint]]:
    return {
        constraint.name: (model, constraint)
        for model in apps.get_app_config("labeling").get_models()
        for constraint in model._meta.constraints
    }


def test_every_constraint_has_a_case() -> None:
    assert {name for name, _case in CASES} == constraints().keys()


@pytest.mark.parametrize(
    ("name", "violate"), CASES, ids=[f"{name}-{n}" for n, (name, _case) in enumerate(CASES)]
)
def test_the_database_refuses_a_violation_of(name: str, violate: Callable[[Cast], object]) -> None:
    cast = Cast()

    with pytest.raises(IntegrityError) as refused, transaction.atomic():
        violate(cast)

    assert names_it(str(refused.value), name)


def test_the_database_refuses_a_verdict_that_neither_answers_nor_fails() -> None:
    cast = Cast()

    with pytest.raises(IntegrityError), transaction.atomic():
        verdict(mass=None)(cast)


def names_it(message: str, name: str) -> bool:
    """PostgreSQL names the constraint; of a unique one SQLite names the columns."""
    model, constraint = constraints()[name]
    if connection.vendor == "postgresql" or isinstance(constraint, models.CheckConstraint):
        return f'"{name}"' in message or message.endswith(f": {name}")
    assert isinstance(constraint, models.UniqueConstraint)
    table = model._meta.db_table
    columns = [model._meta.get_field(f).column for f in constraint.fields]  # type: ignore[union-attr]
    return message.endswith(": " + ", ".join(f"{table}.{column}" for column in columns))


@pytest.mark.parametrize(
    "violate",
    [
        lambda c: Project.objects.create(slug=c.project.slug, name="again"),
        lambda c: User.objects.create(username=c.member.user.username),
        lambda c: [
            ApiToken.objects.create(user=c.member.user, name="t", prefix="p", digest="d")
            for _ in range(2)
        ],
        lambda c: [make_benchmark_item(c.task), make_benchmark_item(c.task, "test", text_hash="x")],
    ],
    ids=["slug", "username", "token digest", "one benchmark part a task"],
)
def test_the_database_refuses_what_stands_there_already(
    violate: Callable[[Cast], object],
) -> None:
    cast = Cast()

    with pytest.raises(IntegrityError), transaction.atomic():
        violate(cast)


def test_what_looks_alike_but_is_right_is_taken() -> None:
    """The same rows where they do not clash: withdrawn, retired, replaced, of another question."""
    cast = Cast()
    Label.objects.filter(pk=cast.label.pk).update(retired_at=timezone.now())
    Label.objects.create(project=cast.project, key="z", name="a")
    make_annotation(cast.task, cast.member, cast.label, current=False)
    make_annotation(cast.task, cast.member, cast.label)
    make_annotation(cast.task, cast.member, cast.label, purpose="audit")
    for label in (cast.label, cast.other_label):
        annotation(question="binary", asked_label=lambda _c, x=label: x, answer="no", label=None)(
            cast
        )
    gone = {"current": False, "withdrawn_at": timezone.now(), "withdrawn_reason": "new text"}
    resolution(**{k: (lambda _c, v=v: v) for k, v in gone.items()})(cast)
    resolution()(cast)
    verdict(mass=None, failure="timed out")(cast)
    make_run(cast.project, make_configuration(cast.project))
    make_user()

    assert cast.task.annotations.count() == 5
    assert Resolution.objects.current().count() == 1
