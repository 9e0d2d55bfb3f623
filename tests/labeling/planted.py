"""A text planted wherever one may come to stand, and the search for it in every row and file."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import models

from labeling import rules
from labeling.actions.guidelines import write_guidelines
from labeling.actions.resolve import resolve
from labeling.actions.uploads import keep_upload
from labeling.models import (
    Artifact,
    BenchmarkLook,
    Configuration,
    Document,
    Embedding,
    Flag,
    Note,
    OnboardingText,
    PlanRow,
    Project,
    PromptPreview,
    Reasoning,
    Registration,
    Retrieved,
    Role,
    SupersededText,
    Task,
    Validator,
    Verdict,
)
from tests.labeling.builders import (
    label_of,
    make_annotation,
    make_artifact,
    make_member,
    make_task,
)
from tests.labeling.scenes import Scene, make_scene
from tests.labeling.test_snapshots import keep

NAME = "Мария Петрова"
TEXT = f'My card was swallowed, "please" call {NAME} — на +49 1522 3433333'
OLD = f"My card was swalowed, pls call {NAME} today"


def planted() -> Scene:
    """A project in which the text stands wherever a text may come to stand."""
    scene = make_scene(validators=2)
    project = scene.project
    task = scene.task(
        {"a": 0.9, "b": 0.1},
        f"The server could not read: {TEXT}",
        external_id="chat/1",
        text=TEXT,
        turns=[
            {"speaker": "bot", "text": "Hello"},
            {"speaker": "her", "text": f"I am {NAME}!!!!!!"},
        ],
        metadata={"subject": TEXT},
        hidden_metadata={"who": [NAME]},
    )
    SupersededText.objects.create(task=task, revision=1, text=OLD)
    expert, ann = make_member(project, Role.EXPERT), make_member(project, Role.REGULAR)
    make_member(project, Role.ADMIN, "ada")
    answer = make_annotation(task, ann, label_of(project, "a"), comment=f"{NAME} again")
    Note.objects.create(annotation=answer, member=ann, by=expert, text=f"Mind {NAME}")
    Flag.objects.create(task=task, revision=1, member=ann, note=f"about {NAME}")
    OnboardingText.objects.create(task=task, chosen_by=expert, explanation=f"{NAME} is meant")
    Verdict.objects.filter(task=task).update(calls=[{"said": TEXT}])
    Reasoning.objects.create(
        task=task, revision=1, validator=scene.validators[0], text=f"{NAME} wants a call"
    )
    resolve(task=task, source="single", by=ann, label=label_of(project, "a"))
    _machines(scene, task)
    _elsewhere(scene, ann)
    keep(project, "before")
    return scene


def _machines(scene: Scene, task: Task) -> None:
    project, validator = scene.project, scene.validators[0]
    Validator.objects.filter(pk=validator.pk).update(
        settings={"shots": [{"text": TEXT, "label": "a"}, {"text": "kept", "label": "b"}]}
    )
    Configuration.objects.filter(pk=scene.configuration.pk).update(
        content={**scene.configuration.content, "shots": [{"text": TEXT, "label": "a"}]}
    )
    other = scene.task({"a": 1.0}, {"a": 1.0}, external_id="chat/2", text="Where is my card?")
    for one in (task, other):
        PromptPreview.objects.create(
            task=one,
            revision=1,
            validator=validator,
            status="done",
            prompt_hash="f" * 64,
            messages=[{"role": "user", "content": f"Which label?\n{TEXT}\nElse: kept"}],
        )
    Embedding.objects.create(text_hash=rules.exact_hash(TEXT), encoder="e", vector=b"\0" * 8)
    Embedding.objects.create(text_hash=rules.exact_hash("other"), encoder="e", vector=b"\0" * 8)
    document = Document.objects.create(
        project=project, external_id="d", title="Cards", text="t", content_hash="h"
    )
    Retrieved.objects.create(
        task=task,
        revision=1,
        index=make_artifact(project, Artifact.Kind.DOCUMENT_INDEX),
        document=document,
        rank=1,
        score=1.0,
        passage="Cards are swallowed",
    )
    PlanRow.objects.filter(task=other).update(failure=f"Read after “{TEXT}”")
    Registration.objects.create(project=project, options={"instructions": TEXT}, actor="test")


def _elsewhere(scene: Scene, ann: Any) -> None:
    """Quotes by people."""
    project = scene.project
    label = label_of(project, "a")
    label.examples = ["kept example", TEXT]
    label.counter_examples = [OLD]
    label.description = f"As in: {TEXT}"
    label.save()
    Project.objects.filter(pk=project.pk).update(introduction=f"Such as {TEXT}")
    project.refresh_from_db()
    write_guidelines(project=project, text=f"# Example\n\n{TEXT}\n\nEnd", by="test")
    Project.objects.filter(pk=project.pk).update(guidelines=f"# Example\n\n{TEXT}\n\nEnd")
    other = make_task(project, "chat/3", "Another one")
    make_annotation(other, ann, label, comment=f"like “{TEXT}”, but shorter")
    BenchmarkLook.objects.create(project=project, part="tune", member=ann, pairs=1, note=TEXT)
    given: dict[str, Any] = {"kind": "predictions", "name": "a.csv", "suffixes": [".csv"]}
    keep_upload(member=ann, blocks=[TEXT.encode()], **given)


def said_in_rows() -> Iterator[tuple[str, str | bytes]]:
    """Every text, JSON value and binary of every row of every table, with where it stands."""
    for model in apps.get_models():
        for field in model._meta.concrete_fields:
            if not isinstance(
                field, (models.CharField, models.TextField, models.JSONField, models.BinaryField)
            ):
                continue
            for value in model._default_manager.values_list(field.name, flat=True):
                where = f"{model.__name__}.{field.name}"
                if isinstance(value, (bytes, memoryview)):
                    yield where, bytes(value)
                elif isinstance(value, str):
                    yield where, value
                else:
                    yield where, json.dumps(value, ensure_ascii=False)


def said_in_files(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below the folders, unpacked where it is packed."""
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and "sqlite3" not in path.name:
                content = path.read_bytes()
                yield str(path), content
                for unpack in (gzip.decompress, zlib.decompress):
                    try:
                        yield str(path), unpack(content)
                    except (OSError, zlib.error):
                        continue


def where_it_is_said(folder: Path, *needles: str) -> set[str]:
    found = set()
    for where, value in [*said_in_rows(), *said_in_files(folder)]:
        for needle in needles:
            if needle.encode() in (value if isinstance(value, bytes) else value.encode()):
                found.add(where)
    return found
