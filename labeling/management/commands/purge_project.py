"""`purge_project SLUG`: an archived project is deleted for good."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labeling.actions.purge import purge_project
from labeling.management.base import WordedCommand, refusals_in_words
from labeling.management.progress import Progress
from labeling.models import Project


class Command(WordedCommand):
    help = gettext_lazy(
        "Delete an archived project for good: all its rows, in batches, its models and snapshots. "
        "A live project is refused. What was broken off goes on when the command is run again. "
        "This cannot be undone; accounts of people stay."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument(
            "--confirm", help=_("the address, once more; without it you are asked for it")
        )

    def handle(self, *, slug: str, confirm: str | None, **options: Any) -> None:
        project = Project.objects.filter(slug=slug).first()
        if project is None:
            archived = Project.objects.filter(archived_at__isnull=False)
            there = ", ".join(archived.values_list("slug", flat=True)[:20])
            raise CommandError(
                _("There is no project “%(slug)s”. Archived ones: %(there)s.")
                % {"slug": slug, "there": there or _("none")}
            )
        if confirm is None and project.archived_at is not None:
            question = _("This cannot be undone. Type the address of the project to delete it:")
            confirm = input(f"{question} ")
        progress = Progress()
        with refusals_in_words():
            gone = purge_project(project=project, confirm=confirm or "", progress=progress)
        progress.close()
        n = sum(gone.values())
        said = ngettext(
            "“%(slug)s” is deleted: %(n)d row.", "“%(slug)s” is deleted: %(n)d rows.", n
        )
        self.stdout.write(said % {"slug": slug, "n": n})
