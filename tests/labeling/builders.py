"""Small rows for tests, made the way the site makes them where an action exists for it.

Every builder has defaults for all but what it hangs on; `n` counters keep unique fields apart.
"""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from labeling import rules, scores
from labeling.actions.projects import add_member, create_project
from labeling.actions.taxonomy import LabelSpec, current_taxonomy, parse_labels
from labeling.models import (
    Annotation,
    Artifact,
    BenchmarkItem,
    Configuration,
    Decision,
    Label,
    Member,
    ModelVersion,
    Policy,
    Prediction,
    Project,
    Role,
    Run,
    ScoreKind,
    Task,
    Upload,
    User,
    Validator,
)

_numbers = itertools.count(1)


def make_project(
    slug: str = "shop",
    labels: Sequence[str | dict[str, Any]] = ("a", "b", "c"),
    **settings: Any,
) -> Project:
    """A project with its label set (taxonomy version 1) and no members."""
    specs: list[LabelSpec] = parse_labels(list(labels))
    return create_project(slug=slug, name=slug.title(), labels=specs, by=None, settings=settings)


def make_user(username: str = "", **fields: Any) -> User:
    """A user who signs in with the password "password"."""
    name = username or f"user{next(_numbers)}"
    return User.objects.create_user(username=name, password="password", **fields)


def make_upload(project: Project, **fields: Any) -> Upload:
    """The row of a file that is looked at; the file itself is not there."""
    member = fields.pop("member", None) or make_member(project, Role.ADMIN)
    defaults = {"kind": "predictions", "name": "a.csv", "file": "f/a.csv"}
    return Upload.objects.create(project=project, member=member, **defaults | fields)


def make_member(
    project: Project, role: str = Role.REGULAR, username: str = "", **fields: Any
) -> Member:
    """A member with a user of their own; `fields` go to the member row."""
    return add_member(
        project=project, user=make_user(username), role=role, by="test set-up", **fields
    )


def label_of(project: Project, name: str) -> Label:
    return project.labels.get(name=name)


def make_task(project: Project, external_id: str = "", text: str = "", **fields: Any) -> Task:
    """A task, by default at the start of the pipeline (status "processing")."""
    number = next(_numbers)
    text = text or f"text number {number}"
    return Task.objects.create(
        project=project,
        external_id=external_id or f"task-{number}",
        text=text,
        text_hash=rules.text_hash(text),
        **fields,
    )


def make_model_version(
    project: Project, name: str = "m1", score_kind: str = ScoreKind.LOGITS
) -> ModelVersion:
    """The model version of that name, made where it is missing."""
    found, _ = ModelVersion.objects.get_or_create(
        project=project, name=name, defaults={"score_kind": score_kind}
    )
    return found


def make_prediction(
    task: Task, logits: Sequence[float] = (), model_version: ModelVersion | None = None
) -> Prediction:
    """A prediction of `task`, made its current one. Without logits the first label wins."""
    taxonomy = current_taxonomy(task.project)
    vector = np.asarray(logits or [3.0] + [0.0] * (len(taxonomy.label_ids) - 1), dtype=np.float32)
    best = int(vector.argmax())
    prediction = Prediction.objects.create(
        task=task,
        revision=task.revision,
        model_version=model_version or make_model_version(task.project),
        taxonomy=taxonomy,
        scores=scores.pack(vector),
        label_id=taxonomy.label_ids[best],
        confidence=float(scores.probabilities(vector, "logits")[best]),
    )
    task.prediction = prediction
    task.save(update_fields=["prediction"])
    return prediction


def make_configuration(project: Project, **content: Any) -> Configuration:
    """A configuration of its own content: the keys that actions read, and a number."""
    content = {
        "question": project.question,
        "model_version": "m1",
        "hard_threshold": None,
        "reranker": None,
        "validators": [],
        "number": next(_numbers),
        **content,
    }
    digest = hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest()
    return Configuration.objects.create(project=project, content_hash=digest, content=content)


def make_run(project: Project, configuration: Configuration | None = None, **fields: Any) -> Run:
    """An open run of a configuration of its own."""
    return Run.objects.create(
        project=project,
        configuration=configuration or make_configuration(project),
        taxonomy=fields.pop("taxonomy", None) or current_taxonomy(project),
        **fields,
    )


def make_artifact(project: Project, kind: str = Artifact.Kind.KNN, **fields: Any) -> Artifact:
    """A row that claims an artifact; there is no file behind it."""
    number = next(_numbers)
    fields = {"version": number, "active": False, "path": f"artifact-{number}", **fields}
    return Artifact.objects.create(
        project=project, kind=kind, digest=f"{number:064d}", data_hash=f"{number:064d}", **fields
    )


def make_validator(project: Project, name: str = "", **fields: Any) -> Validator:
    """A registered LLM validator; nothing answers behind it."""
    fields = {"kind": Validator.Kind.LLM, "version": 1, **fields}
    return Validator.objects.create(
        project=project, name=name or f"validator{next(_numbers)}", **fields
    )


def make_policy(
    project: Project, configuration: Configuration | None = None, **fields: Any
) -> Policy:
    """A draft policy that accepts at 0.9, over no validators unless `rule` says so."""
    fields = {
        "version": next(_numbers),
        "rule": {"pool": "mean", "validators": [], "threshold": {"multiclass": 0.9}},
        **fields,
    }
    return Policy.objects.create(
        project=project, configuration=configuration or make_configuration(project), **fields
    )


def make_decision(task: Task, run: Run, label: Label | None = None, **fields: Any) -> Decision:
    """A live decision: it accepts `label` (with a policy of its own), or defers without one."""
    accepts: dict[str, Any] = {"outcome": "defer", "reason": "no_policy"}
    if label is not None:
        accepts = {"outcome": "accept", "label": label, "confidence": 0.97}
        if "policy" not in fields:
            accepts["policy"] = make_policy(task.project, run.configuration)
    return Decision.objects.create(
        task=task, run=run, revision=task.revision, question="multiclass", **accepts | fields
    )


def make_annotation(task: Task, member: Member, label: Label | None, **fields: Any) -> Annotation:
    """A plain answer to "which label?"."""
    fields = {"client_id": uuid.uuid4(), "question": "multiclass", "answer": "label", **fields}
    return Annotation.objects.create(
        task=task, revision=task.revision, member=member, label=label, **fields
    )


def make_benchmark_item(task: Task, part: str = "tune", **fields: Any) -> BenchmarkItem:
    """The task's place in the benchmark, its reference still open."""
    fields = {"sampling": "random", "text_hash": task.text_hash, **fields}
    return BenchmarkItem.objects.create(project=task.project, task=task, part=part, **fields)
