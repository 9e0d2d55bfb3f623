"""The remedy for a model's likes of digits and places: chosen at registration, a prior fitted."""

from __future__ import annotations

from django.utils.translation import gettext as _

from labeling.actions.errors import ActionRefused
from labeling.models import BenchmarkItem, Label, Part, Project, Question, Ranking
from llm_worker.clients.bias import MIN_ROWS, NO_REMEDY, Bias, fit_prior
from llm_worker.pipeline.validate import candidates_of
from llm_worker.types import ValidationRequest
from llm_worker.validators import Validator

PRIOR = "prior"
REMEDIES = ("none", PRIOR, "shifts-2", "shifts-5")
"""What a validator may be registered with; `shifts-5` means a cyclic order for each candidate."""
PRIOR_ROWS = 48


def check_remedy(project: Project, remedy: str) -> None:
    """Refuse an unknown remedy, and any for binary questions."""
    if remedy not in REMEDIES:
        known = ", ".join(REMEDIES)
        refusal = _("There is no remedy “%(remedy)s” for the bias of options; here are %(known)s.")
        raise ActionRefused(refusal % {"remedy": remedy, "known": known})
    if remedy != "none" and project.question == Question.BINARY:
        raise ActionRefused(
            _(
                "The project asks binary questions, whose digits have a fixed meaning: 1 says that "
                "the label fits, 0 that it does not. There is no other order to ask in; register "
                "without a remedy for the bias of options."
            )
        )


def bias_of(project: Project, remedy: str, client: Validator) -> Bias:
    """The settings of `remedy`; a prior is fitted with `client` on tasks that may be used for it.

    Raises `ValidatorUnavailableError` where the server does not answer enough of them.
    """
    if remedy == PRIOR:
        return fit_prior(client, _rows_for_prior(project))
    if remedy == "none":
        return NO_REMEDY
    return Bias("shifts", orders=int(remedy.removeprefix("shifts-")))


def _rows_for_prior(project: Project) -> list[ValidationRequest]:
    """Some tasks that went through the reranker, the same ones each time. No label is looked at,
    and none of their texts stands in the benchmark outside *fit* (DESIGN 8.1)."""
    held_out = BenchmarkItem.objects.filter(project=project).exclude(part=Part.FIT)
    rankings = (
        Ranking.objects.filter(run__project=project)
        .exclude(task__text="")
        .exclude(task__text_hash__in=held_out.values("text_hash"))
        .select_related("task")
        .order_by("task__text_hash", "-pk")  # in effect random, and the newest first
    )
    chosen: dict[str, Ranking] = {}
    for ranking in rankings.iterator(chunk_size=PRIOR_ROWS):
        chosen.setdefault(ranking.task.text_hash, ranking)
        if len(chosen) == PRIOR_ROWS:
            break
    if len(chosen) < MIN_ROWS:
        raise ActionRefused(
            _(
                "A prior of the digits is fitted on at least %(least)d tasks outside the benchmark "
                "that have candidates; there are %(there)d. Send predictions and run "
                "run_pipeline %(slug)s --wait first."
            )
            % {"least": MIN_ROWS, "there": len(chosen), "slug": project.slug}
        )
    ids = {entry[0] for ranking in chosen.values() for entry in ranking.candidates}
    labels = candidates_of(list(Label.objects.filter(pk__in=ids)))
    most = max(len(ranking.candidates) for ranking in chosen.values())
    return [
        ValidationRequest(
            task_id=ranking.task_id,
            text=ranking.task.text,
            question="multiclass",
            candidates=tuple(labels[entry[0]] for entry in ranking.candidates),
        )
        for ranking in chosen.values()
        if len(ranking.candidates) == most
    ]
