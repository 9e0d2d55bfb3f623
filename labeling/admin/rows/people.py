"""Rows of people: what they are asked and answer, and how they and programs come in."""

from __future__ import annotations

from labeling.admin.base import look_at
from labeling.models import (
    Annotation,
    Answered,
    ApiToken,
    AssignedTask,
    Assignment,
    Delivery,
    DoubleCheck,
    Flag,
    Invitation,
    Lease,
    MachineSeen,
    Note,
    Notice,
    OnboardingItem,
    OnboardingRound,
    OnboardingText,
    Skip,
    Webhook,
)

TASK = "task__project"

look_at(
    Annotation,
    "task",
    "member",
    "purpose",
    "answer",
    "label",
    "current",
    "created_at",
    project=TASK,
    related=["task", "member", "label"],
    filters=["purpose", "answer", "current"],
)
look_at(Lease, "task", "member", "purpose", "expires_at", project=TASK, related=["task", "member"])
look_at(
    Assignment,
    "project",
    "member",
    "role",
    "count",
    "given_by",
    "created_at",
    "expires_at",
    "released_at",
    related=["project", "member", "given_by"],
)
look_at(AssignedTask, "assignment", "task", "ended_at", project=TASK, related=["task"])
look_at(Skip, "task", "member", "reason", "created_at", project=TASK, related=["task", "member"])
look_at(Flag, "task", "member", "created_at", "closed_at", project=TASK, related=["task", "member"])
look_at(
    DoubleCheck,
    "annotation",
    "decision",
    "outcome",
    "created_at",
    project="annotation__task__project",
)
look_at(MachineSeen, "task", "member", "created_at", project=TASK, related=["task", "member"])
look_at(
    Note,
    "annotation",
    "member",
    "by",
    "created_at",
    "read_at",
    project="member__project",
    related=["annotation", "member", "by"],
)
look_at(
    OnboardingText,
    "task",
    "chosen_by",
    "created_at",
    "dropped_at",
    project=TASK,
    related=["task", "chosen_by"],
)
look_at(
    OnboardingRound,
    "member",
    "number",
    "outcome",
    "pass_mark",
    "started_at",
    "finished_at",
    project="member__project",
    related=["member"],
    filters=["outcome"],
)
look_at(
    OnboardingItem,
    "round",
    "place",
    "task",
    "is_right",
    project="round__member__project",
    related=["round", "task"],
)
look_at(
    Invitation,
    "project",
    "role",
    "email",
    "invited_by",
    "expires_at",
    "accepted_by",
    "revoked_at",
    related=["project", "invited_by", "accepted_by"],
    hidden=["digest"],
)
look_at(
    ApiToken,
    "user",
    "member",
    "name",
    "prefix",
    "scopes",
    "expires_at",
    "revoked_at",
    "last_used_at",
    project="member__project",
    related=["user", "member"],
    hidden=["digest"],
)
look_at(
    Answered, "project", "caller", "key", "status", "began_at", related=["project"], hidden=["body"]
)
look_at(
    Webhook,
    "project",
    "url",
    "secret_variable",
    "active",
    "ended_at",
    related=["project"],
    filters=["active"],
)
look_at(
    Notice,
    "webhook",
    "event",
    "object_id",
    "created_at",
    project="webhook__project",
    related=["webhook"],
)
look_at(
    Delivery,
    "webhook",
    "number",
    "status",
    "events",
    "tries",
    "response_code",
    "failure",
    "created_at",
    project="webhook__project",
    related=["webhook"],
    filters=["status"],
)
