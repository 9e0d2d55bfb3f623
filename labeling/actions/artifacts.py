"""What jobs trained or built: registered, and one of each kind in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.actions.events import Actor, record
from labeling.models import Artifact, Project, RerankerReport, Validator
from labeling.reranker_report import ReportError, read_report

PRICES = ("price_input", "price_cached", "price_output")


@transaction.atomic
def register_artifact(
    *,
    project: Project,
    kind: str,
    path: str,
    digest: str,
    data_hash: str,
    info: dict[str, Any],
    by: Actor,
) -> Artifact:
    """Note a finished artifact and put it in use. One with the same digest is put in use again."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    same_kind = project.artifacts.filter(kind=kind)
    standing = same_kind.filter(active=True).first()
    if standing is not None and standing.digest == digest:
        return standing
    same_kind.filter(active=True).update(active=False)
    latest = same_kind.order_by("-version").values_list("version", flat=True).first()
    artifact = Artifact.objects.create(
        project=project,
        kind=kind,
        version=(latest or 0) + 1,
        path=path,
        digest=digest,
        data_hash=data_hash,
        info=info,
    )
    record(
        project,
        by,
        "artifact_registered",
        artifact,
        old={"version": standing.version} if standing else None,
        new={"kind": kind, "version": artifact.version, "digest": digest},
    )
    return artifact


@transaction.atomic
def register_validator(
    *,
    project: Project,
    name: str,
    kind: str,
    settings: dict[str, Any],
    artifact: Artifact | None,
    by: Actor,
    uses_documents: bool = False,
) -> Validator:
    """A new version of the validator `name`, in use from now on; unchanged content makes none.

    Refuses a name that belongs to a validator of another kind.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    same_name = project.validators.filter(name=name)
    other = same_name.exclude(kind=kind).first()
    if other is not None:
        refusal = _("“%(name)s” is the name of another kind of validator: %(kind)s.")
        raise ActionRefused(refusal % {"name": name, "kind": other.get_kind_display()})
    standing = same_name.filter(active=True).first()
    if (
        standing is not None
        and standing.artifact_id == (artifact.pk if artifact else None)
        and standing.settings == settings
    ):
        return standing
    same_name.filter(active=True).update(active=False)
    latest = same_name.order_by("-version").first()
    validator = Validator.objects.create(
        project=project,
        name=name,
        version=(latest.version if latest else 0) + 1,
        kind=kind,
        settings=settings,
        artifact=artifact,
        uses_documents=uses_documents,
        **({price: getattr(latest, price) for price in PRICES} if latest else {}),
    )
    record(
        project,
        by,
        "validator_registered",
        validator,
        old={"version": standing.version} if standing else None,
        new={"name": name, "version": validator.version},
    )
    return validator


@transaction.atomic
def retire_validator(*, project: Project, name: str, by: Actor) -> Validator:
    """Take the validator `name` out of use: no new run asks it. What it said stays.

    Runs that are under way still ask it, for a run ends on its configuration.
    """
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    standing = project.validators.filter(name=name, active=True).first()
    if standing is None:
        there = ", ".join(project.validators.filter(active=True).values_list("name", flat=True))
        raise ActionRefused(
            _("No validator “%(name)s” is in use. In use: %(there)s.")
            % {"name": name, "there": there or _("none")}
        )
    standing.active = False
    standing.save(update_fields=["active"])
    record(
        project,
        by,
        "validator_retired",
        standing,
        old={"active": True},
        new={"name": name, "version": standing.version, "active": False},
    )
    return standing


@transaction.atomic
def resume_validator(*, validator: Validator, by: Actor) -> Validator:
    """Put this version in use again; it is asked in runs that begin from now on."""
    Project.objects.select_for_update(no_key=True).get(pk=validator.project_id)
    standing = validator.project.validators.filter(name=validator.name, active=True).first()
    if standing is not None:
        raise ActionRefused(_("%(validator)s is in use already.") % {"validator": standing})
    validator.active = True
    validator.save(update_fields=["active"])
    record(
        validator.project,
        by,
        "validator_resumed",
        validator,
        old={"active": False},
        new={"name": validator.name, "version": validator.version, "active": True},
    )
    return validator


@transaction.atomic
def set_prices(*, validator: Validator, prices: Mapping[str, float | None], by: Actor) -> None:
    """Keep the prices of a million tokens, named as in `PRICES`; they shape no answer."""
    old = {name: getattr(validator, name) for name in PRICES}
    for name in PRICES:
        setattr(validator, name, prices[name])
    validator.save(update_fields=list(PRICES))
    record(
        validator.project,
        by,
        "prices_set",
        validator,
        old=old,
        new={name: prices[name] for name in PRICES},
    )


def store_reranker_report(artifact: Artifact, content: dict[str, Any]) -> RerankerReport:
    """Keep what the training of the reranker `artifact` measured; an earlier report is replaced.

    `content` is described in `labeling.reranker_report`; another shape is refused.
    """
    if artifact.kind != Artifact.Kind.RERANKER:
        refusal = _("%(artifact)s is no reranker.")
        raise ActionRefused(refusal % {"artifact": artifact})
    try:
        read_report(content)
    except ReportError as error:
        refusal = _("The report of %(artifact)s cannot be kept: %(problem)s")
        raise ActionRefused(refusal % {"artifact": artifact, "problem": error}) from error
    report, _made = RerankerReport.objects.update_or_create(
        artifact=artifact, defaults={"content": content, "created_at": timezone.now()}
    )
    return report
