"""Rows of machines: what they are, what they were asked and what they said."""

from __future__ import annotations

from labeling.admin.base import look_at
from labeling.models import (
    Artifact,
    Configuration,
    DeltaLedger,
    DeltaTest,
    HardThreshold,
    Heartbeat,
    LedgerRow,
    ModelVersion,
    PlanRow,
    Prediction,
    PromptPreview,
    Ranking,
    Reasoning,
    Registration,
    RerankerReport,
    Run,
    StageTiming,
    StreamSample,
    Tally,
    Validator,
    Verdict,
)

TASK = "task__project"
RUN = "run__project"

look_at(ModelVersion, "project", "name", "score_kind", related=["project"])
look_at(
    HardThreshold,
    "model_version",
    "k",
    "threshold",
    "rows",
    "misclassified",
    "current",
    project="model_version__project",
    related=["model_version"],
)
look_at(
    Prediction,
    "task",
    "model_version",
    "label",
    "confidence",
    project=TASK,
    related=["task", "model_version", "label"],
)
look_at(Artifact, "project", "kind", "version", "active", related=["project"], filters=["kind"])
look_at(
    RerankerReport,
    "artifact",
    "created_at",
    project="artifact__project",
    related=["artifact"],
    hidden=["content"],
)
look_at(Configuration, "project", "content_hash", "created_at", related=["project"])
look_at(
    Validator,
    "project",
    "name",
    "version",
    "kind",
    "uses_documents",
    "active",
    related=["project"],
    filters=["kind", "active"],
)
look_at(
    Registration,
    "actor",
    "status",
    "created_at",
    "finished_at",
)
look_at(
    PromptPreview,
    "task",
    "validator",
    "status",
    "tokens",
    "created_at",
    project=TASK,
    related=["task", "validator"],
)
look_at(
    Run,
    "project",
    "kind",
    "status",
    "planned",
    "created_at",
    "completed_at",
    related=["project"],
    filters=["status", "kind"],
)
look_at(
    PlanRow,
    "run",
    "task",
    "stage",
    "attempts",
    "due_at",
    "failure",
    project=RUN,
    related=["run", "task"],
    filters=["stage"],
)
look_at(StageTiming, "run", "stage", "tasks", "seconds", project=RUN, related=["run"])
look_at(Ranking, "run", "task", "hard", "variance", project=RUN, related=["run", "task"])
look_at(
    Verdict,
    "run",
    "task",
    "validator",
    "question",
    "mass",
    "failure",
    project=RUN,
    related=["run", "task", "validator"],
)
look_at(Reasoning, "task", "validator", "created_at", project=TASK, related=["task", "validator"])
look_at(Tally, "run", "tasks", "created_at", project=RUN, related=["run"])
look_at(
    StreamSample,
    "configuration",
    "tasks",
    "population",
    "created_at",
    project="configuration__project",
    related=["configuration"],
)
look_at(DeltaLedger, "opened_at")
look_at(
    DeltaTest,
    "ledger",
    "number",
    "policy",
    "spent",
    "held",
    "created_at",
    project="ledger__project",
    related=["ledger", "policy"],
    hidden=["item_ids"],
)
look_at(
    LedgerRow,
    "ledger",
    "item",
    project="ledger__project",
    related=["ledger", "item__task"],
)
look_at(Heartbeat, "worker", "queue", "beaten_at", project="")
