"""Training of a project's reranker: semantic map, examples, and a pool for each classifier."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labeling import scores
from labeling.actions.artifacts import register_artifact, store_reranker_report
from labeling.actions.errors import ActionRefused
from labeling.models import Artifact, BenchmarkItem, ModelVersion, Part, Prediction, Project
from llm_worker.pipeline import cores, embeddings, reranker_report
from llm_worker.pipeline.classify import logits_of
from llm_worker.pipeline.hardness import store_hard_threshold
from llm_worker.pipeline.training import (
    Progress,
    TrainingRows,
    label_texts,
    named,
    out_of_fold,
    silent,
    training_rows,
)
from rerank_engine import hard_samples
from rerank_engine.artifacts import data_hash, find_matching
from rerank_engine.classifier import hold_out
from rerank_engine.encoder import model_folder
from rerank_engine.reranker import Reranker, RerankFit
from rerank_engine.semantic_map import (
    KIND as MAP_KIND,
)
from rerank_engine.semantic_map import (
    MapRows,
    MapSettings,
    SemanticMap,
    confused_labels,
    save_semantic_map,
    stored_settings,
    train_semantic_map,
)

CONFUSED = 5
# Of the rows that may train this share only says when to stop, and what the pool is fitted on.
HELD_OUT = 0.15
MIN_VALIDATION = 30
EPOCHS = MapSettings().tune.epochs


@dataclass(frozen=True)
class Validation:
    """Rows that one classifier scored and was not trained on, those of the benchmark part *tune*
    first of all: `log_scores` (n, C) on the scale of logits, `codes` (n,) of the true labels."""

    version: ModelVersion
    texts: list[str]
    log_scores: NDArray[np.float64]
    codes: NDArray[np.int64]

    def joined(self, other: Validation) -> Validation:
        """The rows of both, for the same classifier."""
        return Validation(
            self.version,
            self.texts + other.texts,
            np.concatenate([self.log_scores, other.log_scores]),
            np.concatenate([self.codes, other.codes]),
        )


@dataclass(frozen=True)
class Fitted:
    """What was fitted for one classifier and what it does on its validation rows."""

    validation: Validation
    threshold: float | None
    k: int
    fit: RerankFit
    held_out: NDArray[np.float64]
    seconds_per_row: float


def train_reranker(
    project: Project, *, seed: int = 0, epochs: int = EPOCHS, progress: Progress = silent
) -> dict[str, Any]:
    """Train the semantic map on the rows that may train, fit a pool for every classifier with
    enough rows to validate on, put the reranker in use and report on it.

    The map is trained again only where its rows or labels have changed. Returns what a person
    wants to know: rows, and by model version its threshold and exponents, or why it has none.
    """
    rows = training_rows(project)
    held = hold_out(rows.codes, HELD_OUT, seed)
    validations, left_out = _validations(project, rows, held, seed, progress)
    if not validations:
        raise ActionRefused(
            _("There is nothing to fit the reranker on: %(why)s.")
            % {"why": "; ".join(f"{name}: {why}" for name, why in left_out.items()) or _no_scores()}
        )
    folder = _semantic_map(project, rows, held, seed, map_settings(epochs), progress)
    keys = [str(pk) for pk in rows.label_ids]
    semantic_map = SemanticMap.load(
        cores.folder_at(folder), label_keys=keys, precision=settings.ENCODER_PRECISION
    )
    examples = embeddings.vectors(
        rows.texts, encoder=semantic_map.encoder, progress=named(progress, _("encode examples"))
    )
    # A held-out row must not find itself among its neighbours.
    apart = Reranker(semantic_map, examples[~held], rows.codes[~held], {})
    fitted = [_fit(apart, validation) for validation in validations]
    fits = {one.validation.version.name: one.fit for one in fitted}
    artifact = _put_in_use(
        project, Reranker(semantic_map, examples, rows.codes, fits), folder, rows
    )
    if fitted:
        content = reranker_report.content(rows, fitted, semantic_map, label_texts(project))
        store_reranker_report(artifact, content)
    return {
        "rows": len(rows.texts),
        "versions": {
            one.validation.version.name: {
                "rows": len(one.validation.texts),
                "threshold": one.threshold,
                "exponents": one.fit.hard.weights,
            }
            for one in fitted
        },
        "left_out": left_out,
    }


def map_settings(epochs: int) -> MapSettings:
    """The default settings with another number of epochs, and the installation's precision."""
    standard = MapSettings()
    tune = replace(standard.tune, epochs=epochs, precision=settings.TRAINING_PRECISION)
    return replace(standard, tune=tune)


def _no_scores() -> str:
    return _("no classifier has scored anything yet (train_classifier, or send predictions)")


def _semantic_map(
    project: Project,
    rows: TrainingRows,
    held: NDArray[np.bool_],
    seed: int,
    trained_with: MapSettings,
    progress: Progress,
) -> str:
    """The path of the map for these rows and labels, trained where there is none yet; the `held`
    rows only say when to stop."""
    texts = label_texts(project)
    read = [texts[pk] for pk in rows.label_ids]
    epochs = str(trained_with.tune.epochs)
    digest = rows.hash(
        "semantic map", cores.encoder().fingerprint, str(seed), epochs, data_hash(read)
    )
    path = f"{project.slug}/semantic_map/{digest[:16]}"
    keys = [str(pk) for pk in rows.label_ids]
    wanted = stored_settings(keys, read, trained_with)
    if find_matching(cores.folder_at(path), kind=MAP_KIND, data_hash=digest, settings=wanted):
        return path
    logits = _out_of_fold(project, rows, seed, progress)
    confused = confused_labels(logits, rows.codes, k=CONFUSED)
    train, aside = np.flatnonzero(~held), np.flatnonzero(held)
    model, outcome = train_semantic_map(
        MapRows([rows.texts[i] for i in train], rows.codes[train], confused[train]),
        read,
        base=model_folder(settings.ENCODER),
        validation=([rows.texts[i] for i in aside], rows.codes[aside]) if len(aside) else None,
        seed=seed,
        settings=trained_with,
        checkpoint=_checkpoint(path),
        progress=named(progress, _("train semantic map")),
    )
    save_semantic_map(
        cores.folder_at(path),
        model,
        outcome,
        label_keys=keys,
        label_texts=read,
        data_hash=digest,
        settings=trained_with,
    )
    return path


def _checkpoint(path: str) -> Path:
    """Where a training of the map keeps its state between epochs: a killed one goes on from it."""
    return cores.folder_at(f"{path}.checkpoint.safetensors")


def _out_of_fold(
    project: Project, rows: TrainingRows, seed: int, progress: Progress
) -> NDArray[np.float32]:
    vectors = embeddings.vectors(rows.texts, progress=named(progress, _("encode")))
    return out_of_fold(project, rows, vectors, seed, progress)


def _validations(
    project: Project, rows: TrainingRows, held: NDArray[np.bool_], seed: int, progress: Progress
) -> tuple[list[Validation], dict[str, str]]:
    """Validation rows by classifier, and why others have none.

    The embedded one also has the `held` rows, scored by heads that did not see them.
    """
    found, left_out = [], {}
    embedded = _embedded_name(project)
    for version in project.model_versions.order_by("pk"):
        scored = _scored_rows(version, rows.label_ids)
        if version.name == embedded and not _embedded(project).info["fine_tuned"]:
            logits = _out_of_fold(project, rows, seed, progress)[held].astype(np.float64)
            texts = [rows.texts[row] for row in np.flatnonzero(held)]
            unseen = Validation(version, texts, logits, rows.codes[held])
            scored = unseen if scored is None else scored.joined(unseen)
        if scored is None or len(scored.texts) < MIN_VALIDATION:
            left_out[version.name] = _(
                "%(n)d labeled rows that it was not trained on have scores of it, such as those of "
                "the benchmark part tune; %(need)d are needed"
            ) % {"n": len(scored.texts) if scored else 0, "need": MIN_VALIDATION}
        else:
            found.append(scored)
    return found, left_out


def _scored_rows(version: ModelVersion, label_ids: Sequence[int]) -> Validation | None:
    """The rows of *tune* with their scores: stored ones, or for the embedded classifier computed
    now, so that it need not have predicted for the benchmark yet."""
    place = {pk: code for code, pk in enumerate(label_ids)}
    items = list(
        BenchmarkItem.objects.filter(
            project=version.project,
            part=Part.TUNE,
            reference_label__in=list(place),
        )
        .select_related("task")
        .order_by("pk")
    )
    if not items:
        return None
    if version.name == _embedded_name(version.project):
        texts = [item.task.text for item in items]
        logits = logits_of(_embedded(version.project), texts).astype(np.float64)
        return Validation(version, texts, logits, _codes(items, place))
    stored = {
        prediction.task_id: prediction
        for prediction in Prediction.objects.filter(
            model_version=version, task__in=[item.task_id for item in items]
        ).select_related("taxonomy")
    }
    kept = [
        (item, stored[item.task_id])
        for item in items
        if item.task_id in stored
        and stored[item.task_id].revision == item.task.revision
        and stored[item.task_id].taxonomy.label_ids == list(label_ids)
    ]
    if not kept:
        return None
    raw = np.stack([scores.unpack(prediction.scores) for _item, prediction in kept])
    return Validation(
        version,
        [item.task.text for item, _prediction in kept],
        hard_samples.as_log_scores(
            raw, "logits" if version.score_kind == "logits" else "probabilities"
        ),
        _codes([item for item, _prediction in kept], place),
    )


def _codes(items: Sequence[BenchmarkItem], place: dict[int, int]) -> NDArray[np.int64]:
    labels = [item.reference_label_id for item in items]
    return np.array([place[pk] for pk in labels if pk is not None], dtype=np.int64)


def _embedded(project: Project) -> Artifact:
    return project.artifacts.get(kind=Artifact.Kind.CLASSIFIER, active=True)


def _embedded_name(project: Project) -> str | None:
    artifact = project.artifacts.filter(kind=Artifact.Kind.CLASSIFIER, active=True).first()
    return artifact.info["model_version"] if artifact is not None else None


def _fit(reranker: Reranker, validation: Validation) -> Fitted:
    started = time.monotonic()
    vectors = embeddings.vectors(validation.texts, encoder=reranker.map.encoder)
    seconds = (time.monotonic() - started) / len(validation.texts)
    fit, held_out = reranker.fit(validation.log_scores, vectors, validation.codes)
    version = validation.version
    if version.name == _embedded_name(version.project):
        # Fitted when it was trained, out of fold on many more rows than *tune* has.
        standing = version.hard_thresholds.filter(current=True).first()
        k, threshold = (standing.k, standing.threshold) if standing else (2, None)
    else:
        k = hard_samples.choose_k(validation.log_scores, validation.codes)
        threshold = store_hard_threshold(version, validation.log_scores, validation.codes, k=k)
    return Fitted(validation, threshold, k, fit, held_out, seconds)


def _put_in_use(
    project: Project, reranker: Reranker, map_path: str, rows: TrainingRows
) -> Artifact:
    exponents = [
        f"{name} {view} {weight!r}"
        for name, fit in sorted(reranker.fits.items())
        for pool in (fit.hard, fit.easy)
        for view, weight in pool.weights.items()
    ]
    digest = rows.hash("reranker", map_path, *exponents)
    path = f"{project.slug}/reranker/{digest[:16]}"
    reranker.save(cores.folder_at(path), data_hash=digest)
    return register_artifact(
        project=project,
        kind=Artifact.Kind.RERANKER,
        path=path,
        digest=digest,
        data_hash=digest,
        info={
            "map": map_path,
            "label_ids": rows.label_ids,
            "model_versions": sorted(reranker.fits),
            "rows": len(rows.texts),
        },
        by="training",
    )
