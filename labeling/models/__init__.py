"""Rows for every word of the design. Import them from here."""

from labeling.models.account import ApiToken, Scope, User
from labeling.models.annotation import (
    Annotation,
    Answer,
    Lease,
    MachineSeen,
    Purpose,
    UnkReason,
)
from labeling.models.answered import Answered
from labeling.models.assignment import AssignedTask, Assignment
from labeling.models.audit import Alarm, AuditObservation, SendBack, WeekProfile
from labeling.models.audit_pick import AuditPick
from labeling.models.benchmark import (
    BenchmarkAnswer,
    BenchmarkDraw,
    BenchmarkItem,
    BenchmarkLook,
    Part,
    ReferenceOutcome,
    Sampling,
)
from labeling.models.decision import AuditDraw, Decision, DeferReason, Outcome, Rejection
from labeling.models.document import Document, HelpfulDocument, Retrieved
from labeling.models.double_check import DoubleCheck
from labeling.models.erasure import Erasure
from labeling.models.event import Event
from labeling.models.guideline import GuidelinesRead, GuidelineVersion
from labeling.models.invitation import Invitation
from labeling.models.label import Label, LabelAlias, TaxonomyVersion
from labeling.models.mapping import LabelMapping, MappedName
from labeling.models.mark import Flag, Skip, SkipReason
from labeling.models.note import Note
from labeling.models.onboarding import OnboardingItem, OnboardingRound, OnboardingText
from labeling.models.policy import DeltaLedger, DeltaTest, LedgerRow, Policy
from labeling.models.pool import Pool, PoolDraw
from labeling.models.prediction import HardThreshold, ModelVersion, Prediction, ScoreKind
from labeling.models.preview import PromptPreview
from labeling.models.project import (
    Assistance,
    LanguageQueues,
    Member,
    OnAlarm,
    Project,
    Question,
    RetrievalQuery,
    Role,
)
from labeling.models.registration import Registration
from labeling.models.reranker import RerankerReport
from labeling.models.resolution import Resolution, Source
from labeling.models.run import (
    Artifact,
    Configuration,
    Frozen,
    Heartbeat,
    PlanRow,
    Ranking,
    Run,
    Stage,
    StageTiming,
)
from labeling.models.snapshot import Snapshot
from labeling.models.tally import StreamSample, Tally
from labeling.models.task import Embedding, SupersededText, Task, TaskStatus
from labeling.models.upload import RefusedRow, Upload
from labeling.models.verdict import Reasoning, Validator, Verdict
from labeling.models.webhook import Delivery, Notice, Webhook, WebhookEvent

__all__ = [
    "Alarm",
    "Annotation",
    "Answer",
    "Answered",
    "ApiToken",
    "Artifact",
    "AssignedTask",
    "Assignment",
    "Assistance",
    "AuditDraw",
    "AuditObservation",
    "AuditPick",
    "BenchmarkAnswer",
    "BenchmarkDraw",
    "BenchmarkItem",
    "BenchmarkLook",
    "Configuration",
    "Decision",
    "DeferReason",
    "Delivery",
    "DeltaLedger",
    "DeltaTest",
    "Document",
    "DoubleCheck",
    "Embedding",
    "Erasure",
    "Event",
    "Flag",
    "Frozen",
    "GuidelineVersion",
    "GuidelinesRead",
    "HardThreshold",
    "Heartbeat",
    "HelpfulDocument",
    "Invitation",
    "Label",
    "LabelAlias",
    "LabelMapping",
    "LanguageQueues",
    "Lease",
    "LedgerRow",
    "MachineSeen",
    "MappedName",
    "Member",
    "ModelVersion",
    "Note",
    "Notice",
    "OnAlarm",
    "OnboardingItem",
    "OnboardingRound",
    "OnboardingText",
    "Outcome",
    "Part",
    "PlanRow",
    "Policy",
    "Pool",
    "PoolDraw",
    "Prediction",
    "Project",
    "PromptPreview",
    "Purpose",
    "Question",
    "Ranking",
    "Reasoning",
    "ReferenceOutcome",
    "RefusedRow",
    "Registration",
    "Rejection",
    "RerankerReport",
    "Resolution",
    "RetrievalQuery",
    "Retrieved",
    "Role",
    "Run",
    "Sampling",
    "Scope",
    "ScoreKind",
    "SendBack",
    "Skip",
    "SkipReason",
    "Snapshot",
    "Source",
    "Stage",
    "StageTiming",
    "StreamSample",
    "SupersededText",
    "Tally",
    "Task",
    "TaskStatus",
    "TaxonomyVersion",
    "UnkReason",
    "Upload",
    "User",
    "Validator",
    "Verdict",
    "Webhook",
    "WebhookEvent",
    "WeekProfile",
]
