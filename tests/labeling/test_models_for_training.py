"""The one source of training rows: what may train, and what never does."""

from __future__ import annotations

import pytest

from labeling import rules
from labeling.actions.resolve import resolve
from labeling.models import (
    Part,
    Project,
    Source,
    Task,
)
from tests.labeling.builders import (
    label_of,
    make_benchmark_item,
    make_decision,
    make_project,
    make_task,
)
from tests.labeling.violations import (
    Cast,
)

pytestmark = [pytest.mark.django_db, pytest.mark.embedded]


def trainable(project: Project) -> set[str]:
    tasks = Task.objects.filter(project=project).for_training()
    return set(tasks.values_list("external_id", flat=True))


def test_resolved_tasks_and_the_fit_part_may_train() -> None:
    project = make_project()
    label = label_of(project, "a")
    make_task(project, "open")
    resolve(task=make_task(project, "resolved"), source="single", by="test", label=label)
    resolve(task=make_task(project, "unknown"), source="single", by="test", outcome="unk")
    fit = make_task(project, "fit")
    make_benchmark_item(fit, Part.FIT, reference="label", reference_label=label)
    make_benchmark_item(make_task(project, "open fit"), Part.FIT)

    assert trainable(project) == {"resolved", "fit"}


def test_what_a_machine_accepted_by_itself_does_not_train() -> None:
    cast = Cast()
    accepted = make_decision(cast.task, cast.run, cast.label)

    resolve(task=cast.task, source=Source.AUTO, by="policy", label=cast.label, decision=accepted)

    assert trainable(cast.project) == set()


@pytest.mark.parametrize("part", [Part.TUNE, Part.CERTIFY, Part.TEST])
def test_held_out_parts_never_train_nor_does_a_planted_copy_of_their_text(part: str) -> None:
    project = make_project()
    label = label_of(project, "a")
    held_out = make_task(project, "held out", text="Where is my  CARD?")
    make_benchmark_item(held_out, part, reference="label", reference_label=label)
    resolve(task=held_out, source="benchmark", by="test", label=label)
    copy = make_task(project, "planted copy", text="where is my card?")
    resolve(task=copy, source="single", by="test", label=label)
    resolve(task=make_task(project, "other"), source="single", by="test", label=label)

    assert copy.text_hash == rules.text_hash(held_out.text)
    assert trainable(project) == {"other"}


def test_a_text_that_is_held_out_in_one_project_may_train_another() -> None:
    here, there = make_project("here"), make_project("there")
    make_benchmark_item(make_task(here, "x", text="same text"), Part.TEST)
    task = make_task(there, "x", text="same text")

    resolve(task=task, source="single", by="test", label=label_of(there, "a"))

    assert trainable(there) == {"x"}
