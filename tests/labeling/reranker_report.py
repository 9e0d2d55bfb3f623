"""A report as a training writes it, over the labels of a project."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from labeling.actions.artifacts import store_reranker_report
from labeling.models import Artifact, Project
from tests.labeling.builders import make_artifact

POINTS = [
    {"variance": 0.5, "hard_share": 0.05, "accuracy": 0.9, "seconds": 0.01},
    {"variance": 3.0, "hard_share": 0.21, "accuracy": 0.93, "seconds": 0.05},
    {"variance": 9.0, "hard_share": 0.9, "accuracy": 0.92, "seconds": 0.2},
]


def report_content(project: Project, **changes: Any) -> dict[str, Any]:
    """Every key of the shape; two labels are as alike as they are near in the list."""
    ids = list(project.labels.order_by("pk").values_list("pk", flat=True))
    places = range(len(ids))
    return {
        "mode": "ours",
        "training_rows": 8120,
        "validation_rows": 200,
        "settings": {
            "temperature": 1.3,
            "weights": {"classifier": 0.8, "similarity": 0.6},
            "rerank_easy": False,
        },
        "validation": {
            "origin": {"accuracy": 0.91, "nll": 0.35, "hard_accuracy": 0.6},
            "ours": {
                "accuracy": 0.93,
                "nll": 0.27,
                "hard_accuracy": 0.68,
                "nll_interval": [0.24, 0.3],
            },
        },
        "curves": [
            {
                "model_version": "m1",
                "k": 5,
                "threshold": 3.2,
                "rows": 300,
                "points": deepcopy(POINTS),
            }
        ],
        "heat": {
            "label_ids": ids,
            "before": [[1 - abs(i - j) / len(ids) for j in places] for i in places],
            "after": [[1.0 if i == j else -0.1 for j in places] for i in places],
        },
        **changes,
    }


def make_reranker(project: Project, **changes: Any) -> Artifact:
    """The active reranker of the project, with its report."""
    artifact = make_artifact(project, Artifact.Kind.RERANKER, active=True)
    store_reranker_report(artifact, report_content(project, **changes))
    return artifact
