"""Rows of what was decided and settled, and of how it is watched."""

from __future__ import annotations

from labeling.admin.base import look_at
from labeling.models import (
    Alarm,
    AuditDraw,
    AuditObservation,
    AuditPick,
    Decision,
    Event,
    Pool,
    PoolDraw,
    Rejection,
    Resolution,
    SendBack,
    WeekProfile,
)

TASK = "task__project"
RUN = "run__project"

look_at(
    Decision,
    "run",
    "task",
    "policy",
    "outcome",
    "label",
    "confidence",
    "reason",
    "mode",
    project=RUN,
    related=["run", "task", "policy", "label"],
    filters=["outcome", "reason", "mode"],
)
look_at(Rejection, "task", "label", project=TASK, related=["task", "label"])
look_at(
    Resolution,
    "task",
    "outcome",
    "label",
    "source",
    "member",
    "current",
    "created_at",
    project=TASK,
    related=["task", "label", "member"],
    filters=["source", "outcome", "current"],
)
look_at(
    AuditDraw,
    "task",
    "label",
    "policy",
    "probability",
    "answered_at",
    project=TASK,
    related=["task", "label", "policy"],
)
look_at(
    AuditObservation,
    "draw",
    "policy",
    "label",
    "wrong",
    "probability",
    "current",
    "observed_at",
    project="policy__project",
    related=["draw", "policy", "label"],
    filters=["wrong", "current"],
)
look_at(
    AuditPick,
    "task",
    "label",
    "picked_by",
    "wrong",
    "created_at",
    "answered_at",
    project=TASK,
    related=["task", "label", "picked_by"],
    filters=["wrong"],
)
look_at(Alarm, "project", "policy", "did", "created_at", "closed_at", related=["project", "policy"])
look_at(
    SendBack,
    "project",
    "policy",
    "count",
    "created_at",
    "undone_at",
    "restored",
    related=["project", "policy"],
)
look_at(
    Pool,
    "project",
    "policy",
    "method",
    "alpha",
    "delta",
    "size",
    "sample_size",
    "created_at",
    "certified_at",
    "closed_at",
    related=["project", "policy"],
    filters=["method"],
)
look_at(
    PoolDraw,
    "pool",
    "place",
    "task",
    "label",
    "wrong",
    "answered_at",
    project="pool__project",
    related=["pool", "task", "label"],
    filters=["wrong"],
)
look_at(WeekProfile, "project", "week", "rows", "computed_at", related=["project"])
look_at(
    Event,
    "project",
    "actor",
    "verb",
    "object_type",
    "object_id",
    "created_at",
    related=["project"],
    filters=["verb"],
)
