"""Deleting an archived project for good: its rows in batches, and its files."""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from django.conf import settings
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling import rules
from labeling.actions.belonging import models_of_projects, path_to_project
from labeling.actions.errors import ActionRefused
from labeling.actions.uploads import drop_files_of
from labeling.formats.snapshot import folder_of
from labeling.models import Embedding, Project, SupersededText, Task

logger = logging.getLogger(__name__)

BATCH = 1000
Progress = Callable[[str, int, int], None]
"""Told what is being deleted, how many rows are gone, and of how many."""


def purge_project(
    *,
    project: Project,
    confirm: str,
    progress: Progress = lambda what, done, total: None,
    batch: int = BATCH,
) -> Counter[str]:
    """Delete an archived project, a batch a transaction. Returns the rows that went, by table.

    What was broken off is gone on with by calling it again; the project cannot be restored from
    the first batch on. Accounts of people stay. Refuses a live project, and where `confirm` is not
    its address.
    """
    archived = Project.objects.filter(pk=project.pk, archived_at__isnull=False)
    if not archived.exists():
        raise ActionRefused(
            _("“%(slug)s” is in use. Archive it first, on the page of its settings.")
            % {"slug": project.slug}
        )
    if confirm != project.slug:
        raise ActionRefused(_("What was typed is not the address, so nothing was deleted."))
    # Once this stands, nobody brings it back any more.
    archived.filter(purge_begun_at=None).update(purge_begun_at=timezone.now())
    _delete_files(project)
    _delete_embeddings(project, batch)
    gone: Counter[str] = Counter()
    for model in models_of_projects():
        _delete_rows(project, model, gone, progress, batch)
    logger.info("The project %s was purged: %d rows.", project.slug, sum(gone.values()))
    return gone


def _delete_files(project: Project) -> None:
    root = Path(settings.ARTIFACTS_DIR).resolve()
    for path in project.artifacts.values_list("path", flat=True):
        folder = (root / path).resolve()
        if root in folder.parents:  # never above it, whatever the row says
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder_of(project.pk), ignore_errors=True)
    drop_files_of(project)


def _delete_embeddings(project: Project, batch: int) -> None:
    """Vectors of the project's texts, and of the examples on its label cards. Another project that
    has the same text computes it anew."""
    for examples in project.labels.order_by().values_list("examples", flat=True):
        _delete_vectors(text for text in examples if isinstance(text, str))
    for rows in (
        Task.objects.filter(project=project),
        SupersededText.objects.filter(task__project=project),
    ):
        last = 0
        while found := list(
            rows.filter(pk__gt=last).order_by("pk").values_list("pk", "text")[:batch]
        ):
            last = found[-1][0]
            _delete_vectors(text for _pk, text in found)


def _delete_vectors(texts: Iterable[str]) -> None:
    Embedding.objects.filter(text_hash__in={rules.exact_hash(text) for text in texts}).delete()


def _delete_rows(
    project: Project,
    model: type[models.Model],
    gone: Counter[str],
    progress: Progress,
    batch: int,
) -> None:
    name = str(model._meta.verbose_name_plural)
    rows = model._default_manager.filter(**{str(path_to_project(model)): project.pk})
    total = rows.count()
    done = 0
    # Newest first: a row may refer to an older one of its kind.
    while ids := list(rows.order_by("-pk").values_list("pk", flat=True)[:batch]):
        with transaction.atomic():
            _deleted, counted = model._default_manager.filter(pk__in=ids).delete()
        for label, n in counted.items():
            gone[label.rpartition(".")[2]] += n
        done += len(ids)
        progress(name, done, total)
