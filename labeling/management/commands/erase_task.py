"""`erase_task SLUG EXTERNAL_ID`: a text goes for good, from wherever it was copied to."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labeling.actions.erase import erase_task, finish_erasures
from labeling.actions.erase_words import outcome_in_words
from labeling.management.base import WordedCommand, find_project, refusals_in_words


class Command(WordedCommand):
    help = gettext_lazy(
        "Erase the text of a task for good: from the task and its earlier revisions, comments, "
        "reasons, prompts, embeddings, label cards and snapshots. A tombstone stays. This cannot "
        "be undone; backups of yours still have the text."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument("external_id", help=_("id of the task"))
        parser.add_argument("--reason", required=True, help=_("why, without quoting the text"))
        parser.add_argument(
            "--copies", action="store_true", help=_("also every other task with the same text")
        )
        parser.add_argument(
            "--confirm", help=_("the id of the task, once more; without it you are asked for it")
        )

    def handle(
        self,
        *,
        slug: str,
        external_id: str,
        reason: str,
        copies: bool,
        confirm: str | None,
        **options: Any,
    ) -> None:
        project = find_project(slug)
        task = project.tasks.filter(external_id=external_id).first()
        if task is None:
            raise CommandError(_("The project has no task “%(id)s”.") % {"id": external_id})
        if confirm is None:
            question = _("This cannot be undone. Type the id of the task to erase its text:")
            confirm = input(f"{question} ")
        with refusals_in_words():
            done = erase_task(
                task=task, confirm=confirm, reason=reason, copies=copies, by="command line"
            )
        rewritten = finish_erasures(project.pk)
        for line in [*outcome_in_words(done), _files(rewritten)]:
            self.stdout.write(line)


def _files(n: int) -> str:
    said = ngettext("%(n)d snapshot was written anew.", "%(n)d snapshots were written anew.", n)
    return said % {"n": n}
