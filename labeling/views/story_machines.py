"""What machines said of a task, in order of time, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from django.utils.translation import gettext as _

from labeling import scores
from labeling.models import (
    Answer,
    Decision,
    Outcome,
    PlanRow,
    Prediction,
    Question,
    Ranking,
    Task,
    Verdict,
)
from labeling.templatetags.shares import percent
from labeling.views import failures
from labeling.views.story_entry import Entry

BEST = 5
MACHINE = "machine"

Names = Mapping[int, str]


def machines_of(task: Task, names: Names) -> Iterator[Entry]:
    for prediction in task.predictions.select_related("model_version", "taxonomy", "label"):
        yield _predicted(prediction, names)
    planned = dict(
        PlanRow.objects.filter(task=task).values_list("run_id", "prediction__created_at")
    )
    for ranking in task.rankings.select_related("run").order_by("run_id"):
        yield _ranked(ranking, planned.get(ranking.run_id), names)
    verdicts = task.verdicts.select_related("validator", "asked_label").order_by("pk")
    for verdict in verdicts:
        yield _verdict(verdict, names)
    for reasoning in task.reasonings.select_related("validator").order_by("pk"):
        words = _("Wrote its reasons:") if reasoning.text else _("Gave no reasons:")
        said = reasoning.text or failures.in_words(reasoning.failure)
        yield Entry(reasoning.created_at, MACHINE, str(reasoning.validator), words, text=said)
    for decision in task.decisions.select_related("policy", "label").order_by("pk"):
        yield _decided(decision)


def _in_run(facts: Sequence[str], run_id: int, revision: int) -> list[str]:
    return [*facts, _("Run %(run)s, revision %(n)s of the text.") % {"run": run_id, "n": revision}]


def _shares(pairs: Sequence[tuple[str, float]]) -> str:
    said = [
        _("%(option)s %(share)s") % {"option": option, "share": percent(share)}
        for option, share in pairs
    ]
    return " · ".join(said)


def _predicted(prediction: Prediction, names: Names) -> Entry:
    vector = scores.unpack(prediction.scores)
    chances = scores.probabilities(vector, prediction.model_version.score_kind)
    order = np.argsort(-chances, kind="stable")[:BEST]
    ids = prediction.taxonomy.label_ids
    known = [int(place) for place in order if not np.isnan(vector[place])]
    best = [(names.get(ids[place], "?"), float(chances[place])) for place in known]
    words = _("Predicted “%(label)s” with %(share)s.") % {
        "label": prediction.label.name,
        "share": percent(prediction.confidence),
    }
    who = _("classifier %(version)s") % {"version": prediction.model_version.name}
    revision = _("Revision %(n)s of the text.") % {"n": prediction.revision}
    return Entry(prediction.created_at, MACHINE, who, words, [_shares(best), revision])


def _ranked(ranking: Ranking, predicted_at: Any, names: Names) -> Entry:
    hard = {
        True: _("Hard: reranked by what the labels mean."),
        False: _("Not hard: the classifier's order stands."),
        None: _("Whether it is hard is not known; the classifier's order stands."),
    }[ranking.hard]
    after = [(names.get(int(one[0]), "?"), float(one[1])) for one in ranking.candidates]
    when = max(filter(None, (ranking.run.created_at, predicted_at)))
    facts = _in_run([_shares(after)], ranking.run_id, ranking.revision)
    return Entry(when, MACHINE, _("reranker"), hard, facts)


def _option(option: str, names: Names) -> str:
    if option.isdecimal():
        return names.get(int(option), "?")
    return str(Answer(option).label) if option in Answer.values else option


def _verdict(verdict: Verdict, names: Names) -> Entry:
    if verdict.failure:
        words = _("Gave no answer: %(why)s") % {"why": failures.in_words(verdict.failure)}
    elif verdict.question == Question.BINARY and verdict.asked_label is not None:
        words = _("Said whether “%(label)s” holds.") % {"label": verdict.asked_label.name}
    else:
        words = _("Said how likely each candidate is.")
    ordered = sorted(verdict.probabilities.items(), key=lambda pair: -pair[1])
    shares = [(_option(option, names), share) for option, share in ordered]
    facts = _in_run([_shares(shares)] if shares else [], verdict.run_id, verdict.revision)
    return Entry(verdict.created_at, MACHINE, str(verdict.validator), words, facts)


def _decided(decision: Decision) -> Entry:
    said = {
        "label": decision.label.name if decision.label else "",
        "share": percent(decision.confidence),
        "reason": decision.get_reason_display(),
    }
    if decision.outcome == Outcome.ACCEPT:
        words = _("Accepted “%(label)s” at %(share)s.") % said
    elif decision.outcome == Outcome.REJECT:
        words = _("Ruled “%(label)s” out at %(share)s.") % said
    else:
        words = _("Left it to people: %(reason)s.") % said
    facts = [decision.detail] if decision.detail else []
    if decision.mode == Decision.Mode.SHADOW:
        facts.append(_("In shadow only: it changed nothing."))
    who = str(decision.policy) if decision.policy else _("no policy")
    facts = _in_run(facts, decision.run_id, decision.revision)
    return Entry(decision.created_at, MACHINE, who, words, facts)
