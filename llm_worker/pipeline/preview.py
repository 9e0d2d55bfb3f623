"""The prompt that an LLM validator would be shown of a task, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from labeling.models import PlanRow, PromptPreview, Ranking, Task
from llm_worker.clients.passport import ServedModel
from llm_worker.clients.prompting import prompts_of
from llm_worker.clients.vllm_server import VllmServerValidator
from llm_worker.errors import ValidatorError
from llm_worker.pipeline.hosts import check_host
from llm_worker.pipeline.llm_client import GuardedClient
from llm_worker.pipeline.validate import requests_of
from llm_worker.prompts.build import Prompt
from llm_worker.prompts.families import family_of
from llm_worker.prompts.settings import Approach
from llm_worker.types import ValidationRequest


class NothingToShowError(Exception):
    """Why there is no prompt, in words."""


@dataclass(frozen=True)
class Made:
    """A prompt, its tokens where the server could be asked, and what to know about it."""

    prompt: Prompt
    tokens: int | None
    notes: list[str]


def preview(found: PromptPreview) -> None:
    """Put the prompt together and store it, or why that cannot be done."""
    status, content = PromptPreview.Status.DONE, {}
    try:
        made = _made(found)
        content = {
            "messages": made.prompt.messages(),
            "tokens": made.tokens,
            "cut": list(made.prompt.cut),
            "prompt_hash": made.prompt.hash,
            "notes": made.notes,
        }
    except (NothingToShowError, ValidatorError) as error:
        status, content = PromptPreview.Status.FAILED, {"failure": str(error)}
    PromptPreview.objects.filter(pk=found.pk, status=PromptPreview.Status.WAITING).update(
        status=status, **content
    )


def _made(found: PromptPreview) -> Made:
    row = _planned(found.task)
    guarded = GuardedClient(found.validator)
    (request,) = guarded.shown([requests_of(row.run, [row])[row.task_id]])
    client = guarded.client
    notes = [_("The candidates and documents are those of run %(n)d.") % {"n": row.run_id}]
    notes += _about(client.model, request)
    if not isinstance(client, VllmServerValidator):
        notes.append(_("Its tokens are counted only when the validator is asked."))
        return Made(next(prompts_of(client.model, request)), None, notes)
    try:
        check_host(client.model.url, project=found.task.project)
        prompt, tokens = client.measured(request)
    except ValidatorError as error:
        said = _("Its tokens could not be counted, nor whether it has to be cut: %(why)s")
        notes.append(said % {"why": error})
        return Made(next(prompts_of(client.model, request)), None, notes)
    return Made(prompt, tokens, notes)


def _planned(task: Task) -> PlanRow:
    """The plan row of the newest run that has candidates for the text as it stands."""
    rankings = Ranking.objects.filter(task=task, revision=task.revision).order_by("-run_id")
    runs = rankings.exclude(candidates=[]).values_list("run_id", flat=True)
    row = PlanRow.objects.filter(task=task, run__in=runs[:1]).select_related("run", "task").first()
    if row is None:
        raise NothingToShowError(
            _("The task has no candidates yet, for no run has reranked this text.")
        )
    return row


def _about(model: ServedModel, request: ValidationRequest) -> list[str]:
    """What the prompt alone does not show of how the answer is got."""
    notes = []
    calls = model.bias.calls(len(request.candidates)) if request.question == "multiclass" else 1
    if calls > 1:
        said = _("It is sent in %(n)d orders of the options; this is the first.")
        notes.append(said % {"n": calls})
    if model.asking.approach is Approach.REASON_THEN_PROB:
        said = _(
            "Before it the model is asked for notes: in place of the begun answer the message then "
            "ends with “%(words)s” What it writes is put before the options, and is not counted "
            "here, nor part of this hash."
        )
        notes.append(said % {"words": family_of(model.family).reason})
    return notes
