"""A project with something on every page, and somebody of every role to look at it."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from labeling.actions.guidelines import write_guidelines
from labeling.actions.lease import next_task
from labeling.actions.mappings import make_mapping
from labeling.actions.monitor import check_policies
from labeling.actions.onboarding import begin, let_in
from labeling.actions.onboarding_texts import choose_text
from labeling.actions.people import invite
from labeling.actions.projects import create_token
from labeling.actions.snapshots import ask_snapshot, make_snapshot
from labeling.actions.tally import tally_runs
from labeling.formats.selection import SelectionForm
from labeling.models import (
    Annotation,
    Artifact,
    Delivery,
    Document,
    Flag,
    Label,
    Member,
    OnboardingItem,
    Policy,
    Project,
    PromptPreview,
    Ranking,
    Reasoning,
    RefusedRow,
    Resolution,
    Retrieved,
    Run,
    Snapshot,
    Task,
    User,
    Validator,
    Verdict,
    Webhook,
)
from labeling.rules import text_hash
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_artifact,
    make_benchmark_item,
    make_member,
    make_model_version,
    make_prediction,
    make_task,
    make_upload,
)
from tests.labeling.cast import say
from tests.labeling.reranker_report import make_reranker
from tests.labeling.rest import user_of
from tests.labeling.scenes import Scene, make_scene
from tests.labeling.test_admin_validators import SERVED
from tests.labeling.test_monitor_policies import observe

NAMES = (
    "Charged twice for the same month, and the bank says that both were taken",
    "SIM not seen",
    "Смена тарифа",
    "退款进度",
)
OF_REGULARS = frozenset({"own", "annotate", "history", "change", "guidelines", "bulk"})
BARE = """
  overview annotate bulk guidelines edit_guidelines guideline_versions history adjudicate quality
  classifier benchmark audit export import settings runs marks tasks assignments people label_set
  add_label import_labels own snapshots new_snapshot onboarding_texts webhooks mappings
"""
"""Pages of a project whose address names nothing else."""
WORDY = "My phone does not find the card since the update; I tried both slots and another phone. "


@dataclass(frozen=True)
class Everything:
    project: Project
    sessions: dict[str, str]
    """Role to the key of a signed-in session; "" for a stranger."""
    pages: dict[str, tuple[str, str]]
    """Name of each route to the role that visits it and its path."""


def make_everything() -> Everything:
    scene = make_scene(validators=2, labels=NAMES)
    project = scene.project
    Project.objects.filter(pk=project.pk).update(
        allow_conf=True,
        answers_needed=2,
        blind_share=0.0,
        gold_share=0.0,
        repeat_share=0.0,
        name="Support of a company with a long name",
    )
    project.refresh_from_db()
    admin = make_member(project, "admin", "root", name="Wilhelmina Schwarzenegger")
    User.objects.filter(memberships=admin).update(is_staff=True, is_superuser=True)
    expert = make_member(project, "expert", "ida")
    ann = make_member(project, "regular", "ann")
    _say_and_decide(scene)
    task = _wait_for_people(scene)
    _measure(project, (admin, expert, ann))
    told, newcomers = _begin(project, expert)
    _settle(project, ann, expert)
    preview = _look_at_prompts(scene.validators[0], task)
    reranker = make_reranker(project)
    labels = list(project.labels.order_by("pk").values_list("pk", flat=True))
    reranker.info = {"label_ids": labels, "model_versions": {}}
    reranker.save()
    write_guidelines(project=project, text="# Read *this*\n\n- one\n- two", by=admin)
    Flag.objects.create(task=task, revision=1, member=ann, note="Is this about the card at all?")
    create_token(user=user_of(admin), name="nightly import", scopes=["read"])
    next_task(member=ann)
    changed = Annotation.objects.filter(member=ann, purpose="label").earliest("pk")
    _keep_snapshots(project, admin)
    webhook = _webhook(project, admin)
    roles = {"admin": admin, "expert": expert, "regular": ann, **newcomers}
    return Everything(
        project=project,
        sessions={"": "", **{role: _session(member) for role, member in roles.items()}},
        pages={
            **_pages(project, scene.run, task, preview, changed),
            "onboarding": ("newcomer", reverse("labeling:onboarding", args=(project.slug,))),
            "onboarding_told": (
                "newcomer",
                reverse("labeling:onboarding_told", args=(project.slug, told.pk)),
            ),
            **{
                f"onboarding, {role}": (role, reverse("labeling:onboarding", args=(project.slug,)))
                for role in ("fresh", "failed", "passed", "let in")
            },
            "import_look": ("admin", _upload(project, admin)),
            "import_look of another tool": ("admin", _foreign(project, admin)),
            "import_job": ("admin", _import(project, admin, scene.run)),
            "invitation": ("", _invitation(project, admin)),
            "snapshot_changes": ("admin", _changes(project)),
            "mapping": ("admin", _mapping(project, admin)),
            "webhook": ("admin", reverse("labeling:webhook", args=(project.slug, webhook.pk))),
        },
    )


def _say_and_decide(scene: Scene) -> None:
    """A stream with verdicts, a part *tune*, and a policy whose audits raise an alarm."""
    project, (one, two, *_) = scene.project, NAMES
    for confidence in (0.6, 0.7, 0.8, 0.9):
        scene.task(*({one: confidence, two: 1 - confidence},) * 2)
    scene.task({one: 0.9, two: 0.1}, "The server was away.")
    for part in ("tune", "test"):
        for confidence, right in ((0.65, False), (0.75, True), (0.85, True), (0.95, False)):
            task = scene.task(*({one: confidence, two: 1 - confidence},) * 2)
            reference = label_of(project, one if right else two)
            make_benchmark_item(task, part, reference="label", reference_label=reference)
    policy = scene.policy("active", multiclass=0.8)
    Policy.objects.filter(pk=policy.pk).update(
        evidence={"target_accuracy": 0.9}, activated_at=timezone.now()
    )
    policy.refresh_from_db()
    scene.policy("draft", multiclass=0.7)
    scene.decide()
    Run.objects.filter(pk=scene.run.pk).update(
        status=Run.Status.COMPLETED,
        completed_at=scene.run.created_at,
        planned=scene.run.plan_rows.count() + 1,  # the one that waits for people comes yet
    )
    tally_runs(policy)
    observe(policy, [False] * 3, two)
    observe(policy, [True] * 14, one)
    check_policies()


def _wait_for_people(scene: Scene) -> Task:
    """A long text with candidates, verdicts, documents and reasons, which waits for people."""
    project = scene.project
    task = scene.task(
        *({NAMES[1]: 0.5, NAMES[0]: 0.3, NAMES[2]: 0.2},) * 2,
        text=WORDY * 3,
        external_id="chat-1",
        metadata={"channel": "app", "since": "2026-11-05"},
        turns=[{"speaker": "Heron", "text": "How can I help?"}],
    )
    Task.objects.filter(pk=task.pk).update(status="deferred", priority=9)
    Ranking.objects.filter(task=task).update(hard=True, variance=1.5)
    document = Document.objects.create(
        project=project,
        external_id="d1",
        title="A card that the phone does not see",
        text="t",
        content_hash="h",
    )
    Retrieved.objects.create(
        task=task,
        revision=1,
        index=make_artifact(project, Artifact.Kind.DOCUMENT_INDEX),
        document=document,
        rank=1,
        score=1.0,
        passage="Wipe the contacts with a dry cloth. " * 5,
    )
    Reasoning.objects.create(
        task=task, revision=1, validator=scene.validators[0], text="It speaks of a card. " * 5
    )
    return task


def _measure(project: Project, members: tuple[Member, ...]) -> None:
    """Everybody answers what the experts have settled, not always alike."""
    items = project.benchmark_items.filter(part="test").select_related("task")
    for place, item in enumerate(items):
        for seat, member in enumerate(members):
            name = NAMES[(place + seat) % 2]
            make_annotation(item.task, member, label_of(project, name), seconds=4.5)


def _begin(project: Project, expert: Member) -> tuple[OnboardingItem, dict[str, Member]]:
    """Somebody before the onboarding round, in its midst, who did not pass it, who did, and who was
    let in without."""
    Project.objects.filter(pk=project.pk).update(onboarding_tasks=2, onboarding_pass_mark=1.0)
    project.refresh_from_db()
    label = label_of(project, NAMES[0])
    for number in range(3):
        task = make_task(project, text=f"{WORDY}{number}")
        make_benchmark_item(task, "fit", reference="label", reference_label=label)
        if number:
            choose_text(task=task, by=expert, explanation="It is about money, not about the card.")
    roles = ("fresh", "newcomer", "failed", "passed", "let in")
    newcomers = {role: make_member(project, username=role.replace(" ", "-")) for role in roles}
    answers = {"newcomer": NAMES[1:2], "failed": NAMES[1:2] * 2, "passed": NAMES[:1] * 2}
    for role, names in answers.items():
        begun = begin(member=newcomers[role])
        for item, name in zip(begun.items.order_by("place"), names, strict=False):
            say(newcomers[role], item.task, name, purpose="onboarding")
    let_in(member=newcomers["let in"], by=expert)
    return OnboardingItem.objects.get(round__member=newcomers["newcomer"], place=1), newcomers


def _settle(project: Project, ann: Member, expert: Member) -> None:
    """A task that people agreed on, one in dispute, and an expert's note."""
    label = label_of(project, NAMES[1])
    for status in ("resolved", "disputed"):
        for number in range(3):
            task = Task.objects.create(
                project=project,
                external_id=f"{status}-{number}",
                text=WORDY,
                text_hash=text_hash(f"{status} {number}"),
                status=status,
            )
            make_prediction(task, model_version=make_model_version(project))
            make_annotation(task, ann, label, comment="Both slots were tried.", seconds=3.0)
            if status == "resolved":
                Resolution.objects.create(task=task, revision=1, label=label, source="single")
            else:
                make_annotation(task, expert, label_of(project, NAMES[0]), seconds=5.0)


def _look_at_prompts(llm: Validator, task: Task) -> PromptPreview:
    Validator.objects.filter(pk=llm.pk).update(settings=SERVED)
    Verdict.objects.filter(validator=llm).update(latency_ms=120.0)
    return PromptPreview.objects.create(
        task=task,
        revision=1,
        validator=llm,
        status="done",
        messages=[
            {"role": "user", "content": f"Which label?\n| {WORDY * 4}"},
            {"role": "assistant", "content": "[ANSWER]"},
        ],
        tokens=1234,
        cut=["documents", "text"],
        prompt_hash="f" * 64,
        notes=["The candidates are those of run 3."],
    )


def _client(member: Member) -> Client:
    client = Client()
    client.force_login(user_of(member))
    return client


def _session(member: Member) -> str:
    return str(_client(member).cookies[settings.SESSION_COOKIE_NAME].value)


def _upload(project: Project, admin: Member) -> str:
    """A file with a mistake, on its way in; the address of what is seen of it."""
    file = SimpleUploadedFile("chats.csv", f"id,text,{NAMES[1]}\n1,hello,0.9\n,,x\n".encode())
    path = reverse("labeling:import", args=(project.slug,))
    answer = _client(admin).post(path, {"kind": "predictions", "file": file})
    return str(answer["Location"])


def _foreign(project: Project, admin: Member) -> str:
    """A file of doccano with a mistake and a comment; the address of what is seen of it."""
    items = f'{{"id": 1, "text": "hello", "label": ["{NAMES[1]}"], "Comments": ["?"]}}\n{{"id": 2}}'
    file = SimpleUploadedFile("doccano.jsonl", items.encode())
    path = reverse("labeling:import", args=(project.slug,))
    return str(_client(admin).post(path, {"kind": "project", "file": file})["Location"])


def _keep_snapshots(project: Project, admin: Member) -> None:
    """Two that differ, the second with an erased text, and one that waits."""
    for note, choices in (("before", {"status": "resolved"}), ("for the training of December", {})):
        form = SelectionForm(choices, project=project)
        assert form.is_valid()
        made = make_snapshot(ask_snapshot(form=form, note=note, by=admin).pk)
    assert made is not None
    rewrite = {"at": "2026-11-26T09:00:00+00:00", "reason": "The customer asked for it.", "rows": 1}
    rewrite |= {"old_sha256": "0" * 64, "sha256": made.sha256}
    Snapshot.objects.filter(pk=made.pk).update(rewrites=[rewrite], erased=1)
    ask_snapshot(form=form, note="", by=admin)


def _mapping(project: Project, admin: Member) -> str:
    """The address of a mapping, one of whose labels was retired."""
    one, two, *_ = NAMES
    pairs = [("CARD/01", one), ("Тариф 2", two), ("OLD", one)]
    made = make_mapping(project=project, name="crm", pairs=pairs, by=admin)
    gone = Label.objects.create(
        project=project, key="gone", name="gone since", retired_at=timezone.now()
    )
    made.names.filter(name="OLD").update(label=gone)
    return reverse("labeling:mapping", args=(project.slug, made.name))


def _webhook(project: Project, admin: Member) -> Webhook:
    """One with a delivery of every state."""
    webhook = Webhook.objects.create(
        project=project,
        url="https://hooks.example.org/a/rather/long/path/that/somebody/chose?and=more",
        events=["run.completed", "task.resolved", "alarm.raised"],
        secret_variable="WEBHOOK_SECRET_OF_THE_SHOP",
        created_by=admin,
    )
    now = timezone.now()
    ended = {"finished_at": now, "tries": 10, "response_code": 200, "reply": WORDY}
    failed = {"tries": 1, "response_code": 503, "failure": "The server answered 503.", "reply": "x"}
    for number, fields in enumerate(
        (
            {"status": "delivered", **ended},
            {**ended, **failed, "status": "dead", "tries": 10},
            {"status": "waiting", **failed},
        ),
        start=1,
    ):
        Delivery.objects.create(webhook=webhook, number=number, events=500, body="{}", **fields)
    return webhook


def _changes(project: Project) -> str:
    path = reverse("labeling:snapshot_changes", args=(project.slug, 2))
    return f"{path}?since=1"


def _import(project: Project, admin: Member, run: Run) -> str:
    """An import that is at work and has refused a row; others stand in the list of the page."""
    job = make_upload(
        project,
        member=admin,
        name="predictions-of-the-night-between-monday-and-tuesday.jsonl",
        status="storing",
        options={"model_version": "intents-7", "on_error": "skip_row"},
        size=73_400_320,
        rows_read=41_000,
        created=40_999,
        refused=1,
        runs=[run.pk],
    )
    RefusedRow.objects.create(
        upload=job, row=16, field="logits", message="There are 3 labels but 2 scores."
    )
    made_by = {"member": admin, "file": "", "finished_at": timezone.now()}
    make_upload(project, status="done", rows_read=9, created=9, **made_by)
    make_upload(project, status="refused", refused=2, said="It has mistakes.", **made_by)
    return reverse("labeling:import_job", args=(project.slug, job.pk))


def _invitation(project: Project, admin: Member) -> str:
    """A way in for a stranger; another one stands open in the list of people."""
    invite(project=project, role="expert", by=admin, email="somebody@example.org")
    _open, secret = invite(project=project, role="regular", by=admin)
    return reverse("labeling:invitation", args=(secret,))


def _pages(
    project: Project, run: Run, task: Task, preview: PromptPreview, changed: Annotation
) -> dict[str, tuple[str, str]]:
    settled = project.tasks.filter(status="resolved", external_id__startswith="resolved").first()
    assert settled is not None
    label = label_of(project, NAMES[3]).pk
    of_project: dict[str, tuple[object, ...]] = {
        **dict.fromkeys(BARE.split(), ()),
        **dict.fromkeys(("run", "cancel_run"), (run.pk,)),
        **dict.fromkeys(("edit_label", "merge_label", "split_label", "retire_label"), (label,)),
        "task": (task.pk,),
        "override": (settled.pk,),
        "erase": (settled.pk,),
        "change": (changed.pk,),
        "snapshot": (2,),
    }
    of_admin: dict[str, tuple[object, ...]] = {
        **dict.fromkeys(("reranker", "prompts", "validators", "validators_compare", "tuning"), ()),
        "reranker_case": (task.external_id,),
        "prompt": (preview.pk,),
    }
    pages = {}
    for name, more in of_project.items():
        role = "regular" if name in OF_REGULARS else "admin"
        pages[name] = (role, reverse(f"labeling:{name}", args=(project.slug, *more)))
    for name, more in of_admin.items():
        name = f"labeling_project_{name}"
        pages[name] = ("admin", reverse(f"admin:{name}", args=(project.pk, *more)))
    for name in ("home", "tokens", "sessions", "new_project"):
        pages[name] = ("admin", reverse(f"labeling:{name}"))
    for name in ("account_change_password", "account_logout"):
        pages[name] = ("admin", reverse(name))
    for name in ("account_login", "account_reset_password", "account_signup"):
        pages[name] = ("", reverse(name))
    return pages
