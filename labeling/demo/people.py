"""The people of the demo project: three sign-ins, and three simulated annotators."""

from __future__ import annotations

import json
import os
import random
import secrets
import uuid
from pathlib import Path

from django.conf import settings

from labeling.actions.annotate import answer
from labeling.actions.projects import add_member
from labeling.demo.data import DemoText, texts
from labeling.models import Answer, Label, Member, Project, Role, Task, TaskStatus, UnkReason, User

LOGINS = {"admin": Role.ADMIN, "expert": Role.EXPERT, "annotator": Role.REGULAR}
SIMULATED = {"Ada": 0.92, "Boris": 0.86, "Chen": 0.8}
"""Simulated annotators and how often each gives the authors' label."""
ANSWERED_SHARE = 0.4
SECONDS_PER_TASK = (4.0, 25.0)


def passwords_file() -> Path:
    return Path(settings.VAR_DIR) / "demo-logins.json"


def create_logins() -> dict[str, str]:
    """The demo's users with their passwords; made at random once per installation."""
    path = passwords_file()
    if path.exists():
        known: dict[str, str] = json.loads(path.read_text("utf-8"))
        if User.objects.filter(username__in=known).count() == len(known):
            return known
    logins = {name: secrets.token_urlsafe(9) for name in LOGINS}
    for name, password in logins.items():
        user, _ = User.objects.get_or_create(username=name)
        user.set_password(password)
        user.is_staff = user.is_superuser = name == "admin"
        user.save()
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        json.dump(logins, handle)
    return logins


def add_people(project: Project) -> list[Member]:
    """Members for the sign-ins, and the simulated annotators, who have no sign-in."""
    for name, role in LOGINS.items():
        add_member(
            project=project, user=User.objects.get(username=name), role=role, by="demo set-up"
        )
    for name in SIMULATED:
        if not project.members.filter(name=name, is_simulated=True).exists():
            add_member(
                project=project,
                user=None,
                role=Role.REGULAR,
                by="demo set-up",
                name=name,
                is_simulated=True,
            )
    return list(project.members.filter(is_simulated=True).order_by("pk"))


def simulate_answers(project: Project, members: list[Member], *, seed: int = 0) -> int:
    """Let the simulated annotators answer a share of the deferred tasks, as programs that give the
    authors' label most of the time. Returns how many answers were given."""
    chance = random.Random(seed)
    reference = {text.id: text for text in texts("stream")}
    labels = {label.key: label for label in project.labels.active()}
    waiting = project.tasks.filter(status=TaskStatus.DEFERRED).order_by("external_id")
    given = 0
    for task in waiting:
        if chance.random() >= ANSWERED_SHARE:
            continue
        for member in chance.sample(members, len(members)):
            task.refresh_from_db(fields=["status"])
            if task.status != TaskStatus.DEFERRED:
                break
            _answer(task, member, reference[task.external_id], labels, chance)
            given += 1
    return given


def _answer(
    task: Task, member: Member, text: DemoText, labels: dict[str, Label], chance: random.Random
) -> None:
    careful = chance.random() < SIMULATED[member.name]
    kind, chosen = Answer.LABEL, chance.choice(list(labels.values()))
    if careful and text.label == "unk":
        kind = Answer.UNK
    elif careful and text.label == "conf":
        kind = Answer.CONF
    elif careful:
        chosen = labels[text.label]
    answer(
        member=member,
        task=task,
        answer=kind,
        label=chosen if kind == Answer.LABEL else None,
        conf_labels=[labels[key] for key in text.labels] if kind == Answer.CONF else (),
        unk_reason=UnkReason.NONE_FITS if kind == Answer.UNK else "",
        client_id=uuid.uuid5(uuid.NAMESPACE_OID, f"{task.pk}/{member.pk}"),
        seconds=chance.uniform(*SECONDS_PER_TASK),
        visible={"simulated": True, "blind": True},
    )
