"""The embedded classifier as the upstream model: texts in, predictions through ingest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labeling.actions.errors import ActionRefused
from labeling.actions.ingest import IngestReport, ingest_predictions
from labeling.actions.taxonomy import current_taxonomy
from labeling.models import Artifact, Label, Project, Task
from llm_worker.pipeline import cores, embeddings
from rerank_engine.tuned_classifier import TunedClassifier

CHUNK = 500


def active_classifier(project: Project) -> Artifact:
    """The embedded classifier in use, or a refusal that says how to get one."""
    artifact = project.artifacts.filter(kind=Artifact.Kind.CLASSIFIER, active=True).first()
    if artifact is None:
        raise ActionRefused(
            _("The project has no embedded classifier: train one with train_classifier SLUG FILE.")
        )
    if artifact.info["label_ids"] != current_taxonomy(project).label_ids:
        raise ActionRefused(
            _("The label set has changed since the classifier was trained: train it again.")
        )
    return artifact


def logits_of(artifact: Artifact, texts: Sequence[str]) -> NDArray[np.float32]:
    """Raw scores (n, C) of an embedded classifier for texts, in the order of its labels."""
    model = cores.classifier(artifact)
    encoder = model.encoder if isinstance(model, TunedClassifier) else None
    return model.logits(embeddings.vectors(texts, encoder=encoder))


def with_logits(project: Project, items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The items, each with the classifier's logits for its text."""
    artifact = active_classifier(project)
    logits = logits_of(artifact, [str(item["text"]) for item in items])
    return [
        {**item, "logits": [float(value) for value in row]}
        for item, row in zip(items, logits, strict=True)
    ]


def classify_and_ingest(project: Project, items: Sequence[Mapping[str, Any]]) -> IngestReport:
    """Predict for texts and send the predictions through ingest, like any upstream would."""
    artifact = active_classifier(project)
    names = dict(Label.objects.filter(project=project).values_list("pk", "name"))
    return ingest_predictions(
        project=project,
        model_version=artifact.info["model_version"],
        items=with_logits(project, items),
        labels=[names[pk] for pk in artifact.info["label_ids"]],
        by="embedded classifier",
    )


def classify_unscored(project: Project) -> int:
    """Predict for tasks that came without scores; returns how many there were."""
    waiting = Task.objects.filter(project=project).unscored()
    total = 0
    while chunk := list(waiting.order_by("pk").values("external_id", "text")[:CHUNK]):
        classify_and_ingest(project, chunk)
        total += len(chunk)
    return total
