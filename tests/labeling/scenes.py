"""A project with validators whose verdicts a test writes by hand, for tests of deciding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from labeling.actions import runs
from labeling.actions.decide import decide
from labeling.models import (
    Configuration,
    Decision,
    PlanRow,
    Policy,
    Project,
    Ranking,
    Run,
    Stage,
    Task,
    Validator,
    Verdict,
)
from tests.labeling.builders import (
    label_of,
    make_configuration,
    make_policy,
    make_prediction,
    make_project,
    make_run,
    make_task,
    make_validator,
)

Said = Mapping[str, float] | str | None
"""Probabilities by label name (or unk, yes, no), a failure in words, or no verdict at all."""


@dataclass
class Scene:
    """One configuration with validators, a run of it, and a policy over both validators."""

    project: Project
    validators: list[Validator]
    configuration: Configuration
    run: Run
    question: str = "multiclass"
    policies: list[Policy] = field(default_factory=list)

    def policy(self, status: str = "active", /, **threshold: float | None) -> Policy:
        """A policy of the mean over both validators, in use unless said otherwise."""
        rule = {
            "pool": "mean",
            "validators": [validator.pk for validator in self.validators],
            "threshold": threshold,
        }
        version = self.project.policies.count() + 1
        policy = make_policy(
            self.project, self.configuration, status=status, rule=rule, version=version
        )
        self.policies.append(policy)
        return policy

    def task(self, *said: Said, run: Run | None = None, **fields: Any) -> Task:
        """A task that awaits its decision; `said` holds one verdict for each validator."""
        flagged = fields.pop("flagged_script", False)
        run = run or self.run
        task = fields.pop("of", None) or make_task(self.project, **fields)
        prediction = task.prediction or make_prediction(task)
        PlanRow.objects.create(
            run=run,
            task=task,
            revision=task.revision,
            prediction=prediction,
            stage=Stage.DECIDE,
        )
        candidates = [[label.pk, 0.5, 0.5] for label in self.project.labels.order_by("pk")]
        Ranking.objects.create(
            run=run,
            task=task,
            revision=task.revision,
            candidates=candidates,
            flagged_script=flagged,
        )
        for validator, verdict in zip(self.validators, said, strict=False):
            self.say(task, validator, verdict, run)
        return task

    def say(self, task: Task, validator: Validator, said: Said, run: Run) -> None:
        if said is None:
            return
        binary = self.question == "binary"
        answer: dict[str, Any] = {"failure": said, "mass": None}
        if not isinstance(said, str):
            answer = {
                "mass": 1.0,
                "probabilities": {self._option(name): share for name, share in said.items()},
            }
        Verdict.objects.create(
            run=run,
            task=task,
            revision=task.revision,
            validator=validator,
            question=self.question,
            asked_label=self.project.labels.order_by("pk").first() if binary else None,
            **answer,
        )

    def _option(self, name: str) -> str:
        if name in ("unk", "yes", "no"):
            return name
        return str(label_of(self.project, name).pk)

    def decide(self, *tasks: Task, run: Run | None = None) -> dict[int, bool]:
        """Decide these tasks (all of the run by default) the way a worker does."""
        rows = (run or self.run).plan_rows.select_related("run__configuration", "run__project")
        if tasks:
            rows = rows.filter(task__in=tasks)
        return decide(list(rows.order_by("pk")))

    def live(self, task: Task) -> Decision:
        return task.decisions.get(mode="live")

    def work_off(self, run: Run) -> None:
        """Claim, decide and release every row of `run`, as the stage decide does."""
        while rows := runs.claim(Stage.DECIDE, limit=50, worker="test"):
            decide(rows)
            runs.advance(rows, Stage.DONE)
        run.refresh_from_db()


def make_scene(
    question: str = "multiclass", *, validators: int = 2, labels: Sequence[str] = ("a", "b", "c")
) -> Scene:
    """A scene without a policy; nothing is drawn for audit."""
    project = make_project(labels=labels, question=question, audit_share=0.0)
    asked = [make_validator(project) for _ in range(validators)]
    configuration = make_configuration(
        project, validators=[{"id": validator.pk, "name": validator.name} for validator in asked]
    )
    run = make_run(project, configuration)
    return Scene(project, asked, configuration, run, question)
