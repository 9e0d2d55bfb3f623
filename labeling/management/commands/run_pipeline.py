"""`run_pipeline SLUG [--wait]`: bring every task of a project up to date."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from labeling import dispatch
from labeling.actions import runs
from labeling.actions.rerun import plan_stale
from labeling.management.base import WordedCommand, find_project, refusals_in_words
from labeling.management.progress import Progress
from labeling.models import Artifact, PlanRow, Project, Run, Stage

POLL_SECONDS = 0.5


class Command(WordedCommand):
    help = gettext_lazy(
        "Plan what no run has seen under the configuration now in force and close the open runs. "
        "With --wait, work on them in this process too (beside any workers) until all are done."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help=_("address of the project"))
        parser.add_argument(
            "--wait", action="store_true", help=_("work and wait until all is done")
        )

    def handle(self, *, slug: str, wait: bool, **options: Any) -> None:
        project = find_project(slug)
        with refusals_in_words():
            if project.artifacts.filter(kind=Artifact.Kind.CLASSIFIER, active=True).exists():
                dispatch.run_here("classify_unscored", project_id=project.pk)
            if wait:
                dispatch.run_here("index_documents", project_id=project.pk)
            planned = plan_stale(project=project, by="command line")
        for run in project.runs.filter(status=Run.Status.OPEN):
            runs.close_run(run)
        said = ngettext("%(n)d task planned.", "%(n)d tasks planned.", planned)
        self.stdout.write(said % {"n": planned})
        if wait:
            self._finish(project)

    def _finish(self, project: Project) -> None:
        """Work stage by stage; rows that another worker holds are waited for."""
        progress = Progress()
        rows = PlanRow.objects.filter(run__project=project)
        total = rows.unfinished().count()
        while left := rows.unfinished().count():
            handled = sum(dispatch.run_here(dispatch.job_of(stage)) for stage in Stage.working())
            left = rows.unfinished().count()
            progress(_("pipeline"), total - left, total)
            if left and not handled:
                time.sleep(POLL_SECONDS)
        runs.complete_runs(project)
        progress.close()
        said = ngettext("%(n)d task done.", "%(n)d tasks done.", total)
        self.stdout.write(said % {"n": total})
