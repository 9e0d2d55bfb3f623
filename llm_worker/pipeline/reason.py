"""Stage reason: LLMs say in words why, for the tasks that people will decide.

It costs hundreds of tokens where a verdict costs one, so only tasks that were left to people get
reasons, after the decision (Tsymbalov 2025, section 6.3: reasoning first spoils the probabilities).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from labeling.actions import budget
from labeling.models import PlanRow, Reasoning, Run, Validator
from llm_worker.errors import ValidatorError
from llm_worker.pipeline.llm_client import GuardedClient
from llm_worker.pipeline.validate import requests_of, store_reasons, validators_of
from llm_worker.types import ValidationRequest

logger = logging.getLogger(__name__)


def reason(rows: Sequence[PlanRow]) -> None:
    """Store the reasons of every LLM of the run for each task; those that stand are not asked for.

    They help people and decide nothing: where a server is away the tasks do without, and the log
    says so.
    """
    run = rows[0].run
    requests = requests_of(run, rows)
    revisions = {row.task_id: row.revision for row in rows}
    for validator in validators_of(run):
        if validator.kind != Validator.Kind.LLM:
            continue
        standing = set(
            Reasoning.objects.filter(
                validator=validator, task_id__in=requests, failure=""
            ).values_list("task_id", "revision")
        )
        wanted = [one for key, one in requests.items() if (key, revisions[key]) not in standing]
        try:
            _ask(run, validator, revisions, wanted)
        except ValidatorError as error:
            logger.warning("%s gave no reasons for %d tasks: %s", validator, len(wanted), error)


def _ask(
    run: Run,
    validator: Validator,
    revisions: Mapping[int, int],
    requests: Sequence[ValidationRequest],
) -> None:
    """Ask `validator` as far as the run's budget goes, and store what it says."""
    waiting = list(requests)
    while waiting:
        n = budget.affordable(run, validator, len(waiting), of=Reasoning)
        if n == 0:
            budget.stopped_by_budget(run)
            return
        now, waiting = waiting[:n], waiting[n:]
        found = GuardedClient(validator).explain(now)
        store_reasons(run, validator, revisions, found)
