"""Texts are encoded for validating only where a validator of the run compares vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from labeling.models import Embedding
from llm_worker.pipeline.validate import requests_of
from tests.labeling.builders import (
    make_artifact,
    make_configuration,
    make_project,
    make_run,
    make_validator,
)
from tests.labeling.scenes import Scene

pytestmark = pytest.mark.django_db


def vector_for(**fields: Any) -> object:
    """What a task brings along for a run with one such validator."""
    project = make_project(labels=("a", "b"))
    if fields.get("kind") == "knn":
        fields["artifact"] = make_artifact(project)
    validator = make_validator(project, **fields)
    configuration = make_configuration(
        project, validators=[{"id": validator.pk}], document_index=None
    )
    scene = Scene(project, [validator], configuration, make_run(project, configuration))
    task = scene.task()
    rows = list(scene.run.plan_rows.select_related("task"))
    return requests_of(scene.run, rows)[task.pk].text_vector


@pytest.mark.parametrize("settings", [{}, {"asking": {"choice": "fixed"}}], ids=["old", "fixed"])
def test_an_llm_alone_costs_no_encoding(settings: dict[str, Any]) -> None:
    assert vector_for(settings=settings) is None
    assert not Embedding.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [{"kind": "knn"}, {"settings": {"asking": {"choice": "similar"}}}],
    ids=["nearest texts", "similar examples"],
)
def test_a_validator_that_compares_vectors_gets_them(fields: dict[str, Any]) -> None:
    vector = vector_for(**fields)
    assert isinstance(vector, np.ndarray)
    assert vector.ndim == 1
    assert Embedding.objects.count() == 1
