"""`fit_policy SLUG`: a policy from the benchmark part *tune*."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from labeling.actions.policy import activate_policy, fit_policy, measure
from labeling.actions.runs import configuration_for
from labeling.management.base import find_project, refusals_in_words
from labeling.models import ModelVersion, Part, Project
from labeling.statistics.intervals import Share


class Command(BaseCommand):
    help = (
        "Fit a policy on the benchmark part tune: the mean of the validators' probabilities and "
        "the loosest threshold that reaches the target accuracy there. Tuned, not certified: on "
        "new texts the accuracy can be lower. Measured on certify and test."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="address of the project")
        parser.add_argument("--target", type=float, help="accuracy (default: the project's)")
        parser.add_argument("--model-version", help="default: the newest")
        parser.add_argument("--activate", action="store_true", help="let it decide from now on")

    def handle(
        self,
        *,
        slug: str,
        target: float | None,
        model_version: str | None,
        activate: bool,
        **options: Any,
    ) -> None:
        project = find_project(slug)
        with refusals_in_words():
            policy = fit_policy(
                project=project,
                configuration=configuration_for(_version(project, model_version)),
                target=project.target_accuracy if target is None else target,
                by="command line",
            )
            if activate:
                activate_policy(policy=policy, by="command line")
        self.stdout.write(f"Policy v{policy.version}: thresholds {policy.rule['threshold']}")
        metrics = measure(policy, [Part.CERTIFY, Part.TEST])
        self.stdout.write(
            f"  accuracy of the accepted on certify and test: {shown(metrics.accuracy)}"
        )
        self.stdout.write(f"  coverage there: {shown(metrics.coverage)}")


def _version(project: Project, name: str | None) -> ModelVersion:
    versions = project.model_versions.order_by("-pk")
    version = versions.filter(name=name).first() if name else versions.first()
    if version is None:
        raise CommandError("The project has no predictions of that model version yet.")
    return version


def shown(share: Share) -> str:
    """A share with its interval, as people read it."""
    if share.value is None or share.low is None or share.high is None:
        return "nothing to measure"
    return (
        f"{share.value:.1%} ({share.successes} of {share.n}; "
        f"95 % interval {share.low:.1%} to {share.high:.1%})"
    )
