"""What is trained on a project's own labels: the embedded classifier and the local validators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.conf import settings
from django.utils.translation import gettext as _
from numpy.typing import NDArray

from labeling.actions.artifacts import register_artifact, register_validator
from labeling.actions.errors import ActionRefused
from labeling.actions.taxonomy import current_taxonomy
from labeling.models import (
    Artifact,
    BenchmarkItem,
    Label,
    ModelVersion,
    Part,
    Project,
    Resolution,
    ScoreKind,
    Task,
    Validator,
)
from llm_worker.clients.cross_encoder import train_cross_encoder
from llm_worker.clients.knn import train_knn
from llm_worker.pipeline import cores, embeddings
from llm_worker.pipeline.hardness import store_hard_threshold
from llm_worker.pipeline.rerank import readable
from llm_worker.types import Candidate
from rerank_engine.artifacts import data_hash, find_matching, write_artifact
from rerank_engine.classifier import hold_out, out_of_fold_logits, train_classifier
from rerank_engine.encoder import model_folder
from rerank_engine.hard_samples import choose_k
from rerank_engine.tuned_classifier import (
    TunedClassifier,
    TunedSettings,
    save_tuned_classifier,
    train_tuned_classifier,
)

FOLDS = 5
OUT_OF_FOLD = "out_of_fold"
CONFUSED = 3
MIN_ROWS = 10
HELD_OUT = 0.1
TUNED_SETTINGS = TunedSettings()

Progress = Callable[[str, int, int], None]
"""Told (what is going on, done, of)."""


def silent(what: str, done: int, total: int) -> None:
    """No progress is shown, as in a job that nobody watches."""


@dataclass(frozen=True)
class TrainingRows:
    """Rows that may train: texts, hashes of their normalised form, and positions of their labels
    in `label_ids` (the taxonomy's order)."""

    texts: list[str]
    hashes: list[str]
    codes: NDArray[np.int64]
    label_ids: list[int]

    def hash(self, *more: str) -> str:
        return data_hash(self.hashes, self.codes, np.array(self.label_ids), *more)


def training_rows(project: Project) -> TrainingRows:
    """Everything of `Task.objects.for_training()`, then the examples on the label cards.

    Label-card examples count as rows (DESIGN 8.1) unless their text is held out or known already.
    """
    label_ids = list(current_taxonomy(project).label_ids)
    place = {pk: code for code, pk in enumerate(label_ids)}
    found = labeled_texts(project, label_ids)
    if len(found) < MIN_ROWS:
        raise ActionRefused(
            _(
                "The project has %(n)d labeled texts that may train; %(need)d are needed. "
                "Import labeled rows (train_classifier SLUG FILE) or label some tasks."
            )
            % {"n": len(found), "need": MIN_ROWS}
        )
    return TrainingRows(
        texts=[text for text, _label in found.values()],
        hashes=list(found),
        codes=np.array([place[label] for _text, label in found.values()], dtype=np.int64),
        label_ids=label_ids,
    )


def labeled_texts(project: Project, label_ids: Sequence[int]) -> dict[str, tuple[str, int]]:
    """Every text that may train, with the id of its label out of `label_ids`, by the hash of its
    normalised form."""
    tasks = Task.objects.filter(project=project).for_training()
    labels = dict(
        Resolution.objects.filter(task__in=tasks, current=True, label__isnull=False).values_list(
            "task_id", "label_id"
        )
    ) | dict(
        BenchmarkItem.objects.filter(
            task__in=tasks, part=Part.FIT, reference_label__isnull=False
        ).values_list("task_id", "reference_label_id")
    )
    known = set(label_ids)
    found: dict[str, tuple[str, int]] = {}
    for pk, text, digest in tasks.order_by("pk").values_list("pk", "text", "text_hash"):
        label = labels.get(pk)
        if label is not None and label in known:
            found.setdefault(digest, (text, label))
    for digest, text, label in _card_examples(project):
        if label in known:
            found.setdefault(digest, (text, label))
    return found


def _card_examples(project: Project) -> list[tuple[str, str, int]]:
    from labeling.rules import text_hash

    held_out = set(
        BenchmarkItem.objects.filter(project=project)
        .exclude(part=Part.FIT)
        .values_list("text_hash", flat=True)
    )
    examples = [
        (text_hash(text), text, label.pk)
        for label in project.labels.active()
        for text in label.examples
        if isinstance(text, str)
    ]
    return [example for example in examples if example[0] not in held_out]


def train_embedded_classifier(
    project: Project, *, seed: int = 0, fine_tune: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """Train the classifier on the rows that may train, put it in use and fit the hardness
    threshold: a head on the frozen encoder, or with `fine_tune` the whole encoder with a head.

    Nothing is trained where the active classifier saw the same rows. Returns what a person wants
    to know: version, rows, labels, accuracy on rows it did not see, share of hard rows.
    """
    rows = training_rows(project)
    kind = "fine-tuned classifier" if fine_tune else "classifier"
    digest = rows.hash(kind, cores.encoder().fingerprint, str(seed))
    standing = project.artifacts.filter(kind=Artifact.Kind.CLASSIFIER, active=True).first()
    if standing is not None and standing.data_hash == digest:
        return {**standing.info, "trained": False}
    path = f"{project.slug}/classifier/{digest[:16]}"
    train = _fine_tune if fine_tune else _train_head
    logits, codes = train(project, rows, path, digest, seed, progress)
    info = {
        "rows": len(rows.texts),
        "labels": len(rows.label_ids),
        "unseen_accuracy": float((logits.argmax(axis=1) == codes).mean()),
        "label_ids": rows.label_ids,
        "model_version": f"embedded-{digest[:8]}",
        "fine_tuned": fine_tune,
    }
    register_artifact(
        project=project,
        kind=Artifact.Kind.CLASSIFIER,
        path=path,
        digest=digest,
        data_hash=digest,
        info=info,
        by="training",
    )
    version, _created = ModelVersion.objects.get_or_create(
        project=project,
        name=info["model_version"],
        defaults={"score_kind": ScoreKind.LOGITS},
    )
    fitted = store_hard_threshold(version, logits, codes, k=choose_k(logits, codes))
    return {**info, "hard_threshold": fitted, "trained": True}


Unseen = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Logits (n, C) and labels (n,) of rows that the model behind the logits was not trained on."""


def _train_head(
    project: Project, rows: TrainingRows, path: str, digest: str, seed: int, progress: Progress
) -> Unseen:
    vectors = embeddings.vectors(rows.texts, progress=named(progress, _("encode")))
    head = train_classifier(
        vectors,
        rows.codes,
        n_classes=len(rows.label_ids),
        seed=seed,
        progress=named(progress, _("train")),
    )
    fingerprint = cores.encoder().fingerprint
    head.save(cores.folder_at(path), data_hash=digest, encoder_fingerprint=fingerprint)
    return out_of_fold(project, rows, vectors, seed, progress), rows.codes


def _fine_tune(
    project: Project, rows: TrainingRows, path: str, digest: str, seed: int, progress: Progress
) -> Unseen:
    """A tenth of the rows is held out: it stops the training and is what hardness is fitted on,
    since five fine-tunings more, out of fold, would take five times as long."""
    held = hold_out(rows.codes, HELD_OUT, seed)
    if not held.any():
        raise ActionRefused(_("There are too few labeled texts to hold some out for fine-tuning."))
    texts = np.array(rows.texts, dtype=object)
    tune = replace(TUNED_SETTINGS.tune, precision=settings.TRAINING_PRECISION)
    trained_with = replace(TUNED_SETTINGS, tune=tune)
    model, head, report = train_tuned_classifier(
        texts[~held].tolist(),
        rows.codes[~held],
        n_classes=len(rows.label_ids),
        base=model_folder(settings.ENCODER),
        validation=(texts[held].tolist(), rows.codes[held]),
        seed=seed,
        settings=trained_with,
        checkpoint=cores.folder_at(f"{path}.checkpoint.safetensors"),
        progress=named(progress, _("fine-tune")),
    )
    save_tuned_classifier(
        cores.folder_at(path), model, head, report, data_hash=digest, settings=trained_with
    )
    folder = cores.folder_at(path)
    classifier = TunedClassifier.load(folder, precision=settings.ENCODER_PRECISION)
    unseen = classifier.encoder.encode(texts[held].tolist())
    return classifier.logits(unseen), rows.codes[held]


def train_local_validators(
    project: Project, *, seed: int = 0, progress: Progress = silent
) -> dict[str, Any]:
    """Train the kNN and the cross-encoder on the rows that may train, and put them in use.

    Neither is an LLM. Nothing is trained where the active ones saw the same rows.
    """
    rows = training_rows(project)
    digest = rows.hash("validators", cores.encoder().fingerprint, str(seed), _cards(project))
    standing = {
        artifact.kind for artifact in project.artifacts.filter(active=True, data_hash=digest)
    }
    if {Artifact.Kind.KNN, Artifact.Kind.CROSS_ENCODER} <= standing:
        return {"rows": len(rows.texts), "trained": False}
    vectors = embeddings.vectors(rows.texts, progress=named(progress, _("encode")))
    label_ids = np.array(rows.label_ids)[rows.codes]
    knn = train_knn(vectors, label_ids, text_hashes=rows.hashes)
    path = f"{project.slug}/knn/{digest[:16]}"
    knn.save(cores.folder_at(path))
    _put_in_use(project, Artifact.Kind.KNN, "nearest texts", path, knn.artifact_hash, digest)
    cross = train_cross_encoder(
        rows.texts,
        label_ids,
        label_texts(project),
        _confused(rows, out_of_fold(project, rows, vectors, seed, progress)),
        base_model_path=model_folder(settings.ENCODER),
        seed=seed,
        progress=named(progress, _("train cross-encoder")),
    )
    path = f"{project.slug}/cross_encoder/{digest[:16]}"
    cross.save(cores.folder_at(path))
    _put_in_use(
        project, Artifact.Kind.CROSS_ENCODER, "cross-encoder", path, cross.artifact_hash, digest
    )
    return {"rows": len(rows.texts), "trained": True}


def _put_in_use(
    project: Project, kind: Artifact.Kind, name: str, path: str, digest: str, rows_hash: str
) -> None:
    artifact = register_artifact(
        project=project,
        kind=kind,
        path=path,
        digest=digest,
        data_hash=rows_hash,
        info={},
        by="training",
    )
    register_validator(
        project=project,
        name=name,
        kind=Validator.Kind(kind),
        settings={},
        artifact=artifact,
        by="training",
    )


def label_texts(project: Project) -> dict[int, str]:
    """What a cross-encoder reads of each label: its name as words, and its description."""
    return {
        label.pk: Candidate(label.pk, readable(label.name), label.description).text
        for label in Label.objects.filter(project=project)
    }


def _cards(project: Project) -> str:
    return data_hash([f"{pk} {text}" for pk, text in sorted(label_texts(project).items())])


def out_of_fold(
    project: Project,
    rows: TrainingRows,
    vectors: NDArray[np.float32],
    seed: int,
    progress: Progress,
) -> NDArray[np.float32]:
    """Logits (n, C) of heads that did not see the row; kept on disk, since classifier and
    validators both want them."""
    digest = rows.hash("out of fold", cores.encoder().fingerprint, str(seed))
    folder = cores.folder_at(f"{project.slug}/out_of_fold/{digest[:16]}")
    stored = find_matching(folder, kind=OUT_OF_FOLD, data_hash=digest, settings={})
    if stored is not None:
        return stored.arrays["logits"]
    logits = out_of_fold_logits(
        vectors,
        rows.codes,
        n_classes=len(rows.label_ids),
        folds=FOLDS,
        seed=seed,
        progress=named(progress, _("out of fold")),
    )
    manifest = {"data_hash": digest, "settings": {}}
    write_artifact(folder, kind=OUT_OF_FOLD, arrays={"logits": logits}, manifest=manifest)
    return logits


def _confused(rows: TrainingRows, logits: NDArray[np.float32]) -> NDArray[np.int64]:
    """The labels each row is most confused with: label ids (n, 3)."""
    logits = logits.copy()
    logits[np.arange(len(rows.codes)), rows.codes] = -np.inf
    order = np.argsort(-logits, axis=1)[:, : min(CONFUSED, len(rows.label_ids) - 1)]
    return np.array(rows.label_ids, dtype=np.int64)[order]


def named(progress: Progress, what: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(what, done, total)
