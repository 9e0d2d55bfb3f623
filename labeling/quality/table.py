"""People and machines in one table against the experts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from django.db.models import F, Max
from django.utils.translation import gettext as _

from labeling.actions.opinion import opinion
from labeling.actions.scored import scored_items
from labeling.models import (
    Annotation,
    Answer,
    Outcome,
    Policy,
    Project,
    Purpose,
    Question,
    Task,
    Verdict,
)
from labeling.quality.experts import References, label_of, unaided
from labeling.statistics.agreement import Agreement, cohen
from labeling.statistics.metrics import (
    DEFERRED,
    LABEL,
    UNK,
    AnswerMetrics,
    Estimate,
    LabelMetrics,
    Pair,
    Said,
    SameData,
    answer_metrics,
    by_label,
    same_data,
    yes_or_no,
)
from labeling.statistics.pooling import best_option

PERSON, PEOPLE, VALIDATOR, CLASSIFIER, POLICY = (
    "person",
    "people",
    "validator",
    "classifier",
    "policy",
)
# Answers for these purposes are no measure of how a person labels: they settle or they train.
NOT_MEASURED = (Purpose.ADJUDICATE, Purpose.ONBOARDING)
DRAWS = 400


@dataclass(frozen=True)
class Row:
    """One line of the table. `seconds` is the median time of an answer. `aided` counts a person's
    answers that were given with validators' output in sight; `left_out` the tasks that do not
    score this validator because an expert had it in sight. `labels` are by id, or "yes" and "no"
    where that was asked."""

    kind: str
    name: str
    metrics: AnswerMetrics
    macro_f1: Estimate
    kappa: Agreement
    seconds: float | None = None
    aided: int = 0
    left_out: int = 0
    simulated: bool = False
    labels: tuple[LabelMetrics, ...] = ()

    def worst(self, most: int) -> list[LabelMetrics]:
        """The labels that go wrong most, by F1; a label of few tasks is no worse for that."""
        return sorted(self.labels, key=lambda one: one.f1)[:most]


@dataclass(frozen=True)
class Answers:
    """Pairs of one row of the table, and what it took."""

    pairs: list[Pair]
    seconds: list[float]
    aided: int = 0


@dataclass(frozen=True)
class Table:
    """The rows, the comparison of people with the policy on what it accepted (None where there is
    none), and who said what instead of what the experts say."""

    rows: tuple[Row, ...]
    same: SameData | None
    confused: tuple[tuple[object, object], ...]


def table(project: Project, found: References) -> Table:
    """Everybody who answered tasks of `found`: members, validators, classifier, active policy."""
    people = answers_of_people(found)
    members = {member.pk: member for member in project.members.all()}
    rows = [
        _row(PERSON, str(members[pk]), answers, simulated=members[pk].is_simulated)
        for pk, answers in sorted(people.items(), key=lambda one: str(members[one[0]]))
    ]
    everybody = [pair for answers in people.values() for pair in answers.pairs]
    if len(rows) > 1:
        together = Answers(
            everybody,
            [seconds for answers in people.values() for seconds in answers.seconds],
            sum(answers.aided for answers in people.values()),
        )
        rows.append(_row(PEOPLE, _("all people together"), together))
    rows += _validators(project, found)
    rows += _classifier(found)
    policy = project.policies.filter(status=Policy.Status.ACTIVE)
    machine = _policy(policy.select_related("configuration").first(), found)
    same = None
    if machine is not None:
        rows.append(_row(POLICY, machine[0], Answers(machine[1], []), found=found))
        scored = [pair for pair in machine[1] if pair.task not in found.anchored]
        same = same_data(everybody, scored) if everybody else None
    mistakes = tuple((label_of(p.expert), label_of(p.answer)) for p in everybody)
    return Table(tuple(rows), same, mistakes)


def _row(
    kind: str,
    name: str,
    answers: Answers,
    *,
    found: References | None = None,
    simulated: bool = False,
) -> Row:
    """A row; where `found` is given, tasks that an expert answered with validators' output in
    sight are left out."""
    pairs = answers.pairs
    if found is not None:
        pairs = [pair for pair in pairs if pair.task not in found.anchored]
    labels = by_label(pairs)
    return Row(
        kind=kind,
        name=name,
        metrics=answer_metrics(pairs),
        macro_f1=labels.macro_f1,
        kappa=_kappa(pairs),
        seconds=median(answers.seconds) if answers.seconds else None,
        aided=answers.aided,
        left_out=len(answers.pairs) - len(pairs),
        simulated=simulated,
        labels=labels.labels,
    )


def _kappa(pairs: Sequence[Pair]) -> Agreement:
    """Cohen's kappa with the experts; `unk` and `conf` are categories, and what a machine deferred
    stays out."""
    both = [pair for pair in pairs if pair.answer.outcome != DEFERRED]
    place: dict[object, int] = {}
    codes = [
        (
            place.setdefault(label_of(pair.expert), len(place)),
            place.setdefault(label_of(pair.answer), len(place)),
        )
        for pair in both
    ]
    table = np.array(codes, dtype=np.int64).reshape(-1, 2)
    tasks: dict[object, int] = {}
    groups = np.array([tasks.setdefault(pair.task, len(tasks)) for pair in both], dtype=np.int64)
    return cohen(table[:, 0], table[:, 1], groups=groups, draws=DRAWS)


def answers_of_people(found: References) -> dict[int, Answers]:
    """Member to their first standing answer to each task, none of the tasks they settled."""
    annotations = (
        Annotation.objects.current()
        .filter(found.of_task(), revision=F("task__revision"))
        .exclude(purpose__in=NOT_MEASURED)
    )
    conf: dict[int, set[int]] = defaultdict(set)
    several = annotations.filter(answer=Answer.CONF)
    for pk, label in several.values_list("pk", "conf_labels"):
        conf[pk].add(label)
    people: dict[int, Answers] = defaultdict(lambda: Answers([], []))
    aided: dict[int, int] = defaultdict(int)
    seen: set[tuple[int, int]] = set()
    rows = annotations.order_by("pk").values(
        "pk", "member", "task", "answer", "label", "asked_label", "visible", "seconds"
    )
    for row in rows.iterator():
        key = (row["member"], row["task"])
        if key in seen or row["member"] in found.by.get(row["task"], frozenset()):
            continue
        pair = _pair(row, found, frozenset(conf.get(row["pk"], ())))
        if pair is None:
            continue
        seen.add(key)
        people[row["member"]].pairs.append(pair)
        if row["seconds"] is not None:
            people[row["member"]].seconds.append(row["seconds"])
        aided[row["member"]] += not unaided(row["visible"])
    return {pk: Answers(one.pairs, one.seconds, aided[pk]) for pk, one in people.items()}


def _pair(row: Mapping[str, Any], found: References, conf: frozenset[int]) -> Pair | None:
    task = row["task"]
    if row["asked_label"] is not None:
        expert = found.holds(task, row["asked_label"])
        return yes_or_no(task, expert, row["asked_label"], row["answer"]) if expert else None
    reference = found.said.get(task)
    if reference is None:
        return None
    return Pair(task, reference, Said(row["answer"], row["label"], frozenset(conf)))


def verdict_answers(
    found: References,
) -> dict[int, list[tuple[int, Said | str, int | None, float]]]:
    """Validator to (task, what it said, asked label, milliseconds), its newest verdict of each."""
    newest = (
        Verdict.objects.filter(found.of_task(), revision=F("task__revision"))
        .order_by()
        .values("task", "validator")
        .annotate(newest=Max("pk"))
        .values("newest")
    )
    verdicts = Verdict.objects.filter(pk__in=newest).values_list(
        "validator", "task", "question", "asked_label", "probabilities", "failure", "latency_ms"
    )
    said: dict[int, list[tuple[int, Said | str, int | None, float]]] = defaultdict(list)
    for validator, task, question, asked, probabilities, failure, latency in verdicts.iterator():
        binary = question == Question.BINARY
        answer = _best(probabilities, binary=binary, failed=bool(failure))
        said[validator].append((task, answer, asked if binary else None, latency))
    return said


def _best(probabilities: dict[str, float], *, binary: bool, failed: bool) -> Said | str:
    """The likeliest option; a machine that leans to `unk`, or failed, defers."""
    if failed or not probabilities:
        return DEFERRED if binary else Said(DEFERRED)
    option, _confidence = best_option(probabilities)
    if binary:
        return option if option in ("yes", "no") else DEFERRED
    return Said(LABEL, int(option)) if option != UNK else Said(DEFERRED)


def _validators(project: Project, found: References) -> Iterator[Row]:
    said = verdict_answers(found)
    for validator in project.validators.filter(active=True).order_by("name"):
        pairs, milliseconds = [], []
        for task, answer, asked, latency in said.get(validator.pk, ()):
            pair = _machine_pair(found, task, answer, asked)
            if pair is not None:
                pairs.append(pair)
                milliseconds.append(latency / 1000)
        if pairs:
            yield _row(VALIDATOR, str(validator), Answers(pairs, milliseconds), found=found)


def _machine_pair(
    found: References, task: int, answer: Said | str, asked: int | None
) -> Pair | None:
    if asked is not None:
        expert = found.holds(task, asked)
        return yes_or_no(task, expert, asked, str(answer)) if expert else None
    reference = found.said.get(task)
    return Pair(task, reference, answer) if reference and isinstance(answer, Said) else None


def _classifier(found: References) -> Iterator[Row]:
    predicted: dict[str, list[Pair]] = defaultdict(list)
    tasks = Task.objects.filter(
        found.of_task(""), prediction__isnull=False, prediction__revision=F("revision")
    )
    for task, label, version in tasks.values_list(
        "pk", "prediction__label", "prediction__model_version__name"
    ):
        if task in found.said:
            predicted[version].append(Pair(task, found.said[task], Said(LABEL, label)))
    for version, pairs in sorted(predicted.items()):
        yield _row(CLASSIFIER, version, Answers(pairs, []))


def _policy(policy: Policy | None, found: References) -> tuple[str, list[Pair]] | None:
    """What the active policy accepts; what it rejects or leaves to people is deferred."""
    if policy is None:
        return None
    scored, _unscored = scored_items(policy.configuration, found.parts)
    question = str(policy.configuration.content["question"])
    pairs = []
    for row in scored:
        reference = found.said.get(row.item.task_id)
        if reference is not None:
            told = opinion(policy, row.evidence, question=question)
            accepted = told.outcome == Outcome.ACCEPT
            answer = Said(LABEL, told.label_id) if accepted else Said(DEFERRED)
            pairs.append(Pair(row.item.task_id, reference, answer))
    return str(policy), pairs
