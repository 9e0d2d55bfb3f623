"""What jobs trained or built: registered, and one of each kind in use."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from labeling.actions.events import Actor, record
from labeling.models import Artifact, Project, Validator


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
) -> Validator:
    """A new version of the validator `name`, in use from now on; unchanged content makes none."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    same_name = project.validators.filter(name=name)
    standing = same_name.filter(active=True).first()
    if (
        standing is not None
        and standing.artifact_id == (artifact.pk if artifact else None)
        and standing.settings == settings
    ):
        return standing
    same_name.filter(active=True).update(active=False)
    latest = same_name.order_by("-version").values_list("version", flat=True).first()
    validator = Validator.objects.create(
        project=project,
        name=name,
        version=(latest or 0) + 1,
        kind=kind,
        settings=settings,
        artifact=artifact,
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
