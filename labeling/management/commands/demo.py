"""`demo`: the demo project, from nothing to a queue of tasks for people."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from django.core.management import call_command
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from labeling import dispatch
from labeling.actions.benchmark import import_benchmark
from labeling.actions.documents import import_documents
from labeling.actions.policy import activate_policy, fit_policy
from labeling.actions.projects import create_project
from labeling.actions.runs import configuration_for
from labeling.actions.taxonomy import parse_labels
from labeling.actions.training_rows import import_training_rows
from labeling.demo import data, people
from labeling.demo.data import DemoText
from labeling.demo.summary import aligned, summary
from labeling.management.base import WordedCommand, refusals_in_words
from labeling.management.progress import Progress
from labeling.models import Annotation, ModelVersion, Policy, Project

SLUG = "heron"
TARGET = 0.9
# A quarter of what the command takes: a stranger waits for it.
RERANKER_EPOCHS = 1
PARTS = ("fit", "tune", "certify", "test")
BY = "demo set-up"


class Command(WordedCommand):
    help = gettext_lazy(
        "Load the demo project (support chat of the invented company Heron), train its models, "
        "run the pipeline to the end and print a summary and the sign-ins. Steps that are done "
        "already are left alone."
    )

    def handle(self, **options: Any) -> None:
        started = time.monotonic()
        self.progress = Progress()
        logins = people.create_logins()
        with refusals_in_words():
            project = self._project()
            self._train(project)
            self._benchmark(project)
            self._policy(project)
            self._stream(project)
        self.progress.close()
        ready = _("The demo project “%(name)s” is ready.") % {"name": project.name}
        self.stdout.write(f"\n{ready}\n")
        for line in summary(project):
            self.stdout.write(f"  {line}")
        seconds = f"{time.monotonic() - started:.0f}"
        self.stdout.write(f"  {aligned(_('Seconds in all'), seconds)}\n")
        self.stdout.write(_("Sign in with one of these (made at random for this installation):"))
        for name, password in logins.items():
            self.stdout.write(f"  {name:<10} {password}")

    def _say(self, what: str) -> None:
        self.progress.close()
        self.stderr.write(what)

    def _project(self) -> Project:
        project = Project.objects.filter(slug=SLUG).first()
        if project is None:
            self._say(_("Loading labels, documents and people ..."))
            project = create_project(
                slug=SLUG,
                name="Heron support chat",
                labels=parse_labels(data.labels()),
                by=None,
                settings={
                    "introduction": "First messages to the support chat of Heron, an invented "
                    "provider of broadband, mobile and TV. All texts were written for this demo.",
                    "guidelines": data.guidelines(),
                    "allow_conf": True,
                    "target_accuracy": TARGET,
                },
            )
        people.add_people(project)
        import_documents(project=project, items=data.documents(), by=BY)
        dispatch.run_here("index_documents", project_id=project.pk)
        return project

    def _train(self, project: Project) -> None:
        self._say(_("Training the embedded classifier and the local validators ..."))
        rows = [{"text": row.text, "category": row.label} for row in data.texts("train")]
        import_training_rows(project=project, rows=rows, by=BY)
        dispatch.run_here("train_classifier", project_id=project.pk, progress=self.progress)
        dispatch.run_here("train_validators", project_id=project.pk, progress=self.progress)

    def _benchmark(self, project: Project) -> None:
        self._say(
            _("Benchmark: the authors' labels, and what the machines say of the same texts ...")
        )
        for part in PARTS:
            import_benchmark(
                project=project,
                part=part,
                sampling="random",
                items=[_benchmark_item(text) for text in data.texts(part)],
                by=BY,
            )
        self._say(_("Training the reranker ..."))
        dispatch.run_here(
            "train_reranker",
            project_id=project.pk,
            epochs=RERANKER_EPOCHS,
            progress=self.progress,
        )
        self._predict(project, data.texts(*PARTS))
        call_command("run_pipeline", SLUG, wait=True, stdout=self.stderr, stderr=self.stderr)

    def _policy(self, project: Project) -> None:
        newest = ModelVersion.objects.filter(project=project).latest("pk")
        configuration = configuration_for(newest)
        if project.policies.filter(
            status=Policy.Status.ACTIVE, configuration=configuration
        ).exists():
            return
        self._say(_("Tuning and activating a policy ..."))
        policy = fit_policy(project=project, configuration=configuration, target=TARGET, by=BY)
        activate_policy(policy=policy, by=BY)

    def _stream(self, project: Project) -> None:
        self._say(
            _("The stream: predictions come in, hard ones are reranked, sure ones accepted ...")
        )
        first_time = not Annotation.objects.filter(task__project=project).exists()
        self._predict(project, data.texts("stream"))
        call_command("run_pipeline", SLUG, wait=True, stdout=self.stderr, stderr=self.stderr)
        if first_time:
            members = list(project.members.filter(is_simulated=True).order_by("pk"))
            people.simulate_answers(project, members)

    def _predict(self, project: Project, texts: Sequence[DemoText]) -> None:
        items = [{"external_id": text.id, "text": text.text} for text in texts]
        dispatch.run_here("classify", project_id=project.pk, items=items)


def _benchmark_item(text: DemoText) -> dict[str, Any]:
    item: dict[str, Any] = {
        "external_id": text.id,
        "text": text.text,
        "question": "multiclass",
        "expert": "authors",
        "label": text.label,
    }
    if text.label == "conf":
        item["labels"] = list(text.labels)
    return item
