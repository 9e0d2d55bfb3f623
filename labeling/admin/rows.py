"""Rows that are only looked at."""

from __future__ import annotations

from labeling.admin.base import look_at
from labeling.models import (
    Alarm,
    Annotation,
    Answered,
    ApiToken,
    Artifact,
    AssignedTask,
    Assignment,
    AuditDraw,
    AuditObservation,
    AuditPick,
    BenchmarkAnswer,
    BenchmarkDraw,
    BenchmarkItem,
    BenchmarkLook,
    Configuration,
    Decision,
    Delivery,
    DeltaLedger,
    DeltaTest,
    Document,
    DoubleCheck,
    Embedding,
    Erasure,
    Event,
    Flag,
    GuidelinesRead,
    GuidelineVersion,
    HardThreshold,
    Heartbeat,
    HelpfulDocument,
    Invitation,
    Label,
    LabelAlias,
    LabelMapping,
    Lease,
    LedgerRow,
    MachineSeen,
    MappedName,
    ModelVersion,
    Note,
    Notice,
    OnboardingItem,
    OnboardingRound,
    OnboardingText,
    PlanRow,
    Pool,
    PoolDraw,
    Prediction,
    PromptPreview,
    Ranking,
    Reasoning,
    RefusedRow,
    Registration,
    Rejection,
    RerankerReport,
    Resolution,
    Retrieved,
    Run,
    SendBack,
    Skip,
    Snapshot,
    StageTiming,
    StreamSample,
    SupersededText,
    Tally,
    Task,
    TaxonomyVersion,
    Upload,
    Validator,
    Verdict,
    Webhook,
    WeekProfile,
)

TASK = "task__project"
RUN = "run__project"

# Label sets, texts and what comes in with them.
look_at(Label, "project", "key", "name", "retired_at", related=["project"], search=["key", "name"])
look_at(LabelAlias, "project", "name", "label", related=["project", "label"], search=["name"])
look_at(
    LabelMapping,
    "project",
    "name",
    "changed_at",
    "changed_by",
    related=["project", "changed_by"],
    search=["name"],
)
look_at(
    MappedName,
    "mapping",
    "name",
    "label",
    project="mapping__project",
    related=["mapping", "label"],
    search=["name"],
)
look_at(TaxonomyVersion, "project", "number", "created_by", related=["project", "created_by"])
look_at(
    Task,
    "project",
    "external_id",
    "status",
    "question",
    "priority",
    "created_at",
    related=["project"],
    filters=["status", "question"],
    search=["=external_id"],
)
look_at(SupersededText, "task", "revision", "replaced_at", project=TASK, related=["task"])
look_at(Embedding, "text_hash", "encoder", project="")
look_at(Document, "project", "external_id", "title", "updated_at", related=["project"])
look_at(HelpfulDocument, "task", "member", "document", project=TASK, related=["task", "document"])
look_at(
    GuidelineVersion,
    "project",
    "label",
    "number",
    "created_by",
    "created_at",
    related=["project", "label", "created_by"],
)
look_at(GuidelinesRead, "member", "newest", "read_at", project="member__project")
look_at(
    DoubleCheck,
    "annotation",
    "decision",
    "outcome",
    "created_at",
    project="annotation__task__project",
)
look_at(Flag, "task", "member", "created_at", "closed_at", project=TASK, related=["task", "member"])
look_at(Skip, "task", "member", "reason", "created_at", project=TASK, related=["task", "member"])
look_at(Retrieved, "task", "rank", "document", "score", project=TASK, related=["task", "document"])
look_at(
    BenchmarkDraw,
    "project",
    "part",
    "sampling",
    "drawn",
    "population",
    "created_at",
    related=["project"],
    filters=["part"],
)
look_at(
    BenchmarkItem,
    "project",
    "task",
    "part",
    "sampling",
    "reference",
    "reference_label",
    related=["project", "task", "reference_label"],
    filters=["part", "sampling", "reference"],
)
look_at(
    BenchmarkAnswer,
    "item",
    "expert",
    "question",
    "answer",
    "label",
    "current",
    project="item__project",
    related=["item__task", "label"],
    filters=["current"],
)

# Machines.
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
look_at(
    Upload,
    "project",
    "member",
    "kind",
    "name",
    "status",
    "rows_read",
    "refused",
    "created_at",
    related=["project", "member"],
    filters=["kind", "status"],
)
look_at(RefusedRow, "upload", "row", "message", project="upload__project", related=["upload"])
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
    Registration,
    "actor",
    "status",
    "created_at",
    "finished_at",
)
look_at(
    Answered, "project", "caller", "key", "status", "began_at", related=["project"], hidden=["body"]
)
look_at(Heartbeat, "worker", "queue", "beaten_at", project="")

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

# What was decided, answered and settled.
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
    BenchmarkLook,
    "project",
    "part",
    "member",
    "created_at",
    related=["project", "member"],
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
    Snapshot,
    "project",
    "number",
    "status",
    "rows",
    "taken_at",
    related=["project"],
    filters=["status"],
)
look_at(Erasure, "project", "task", "reason", "actor", "created_at", related=["project", "task"])
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
