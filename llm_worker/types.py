"""What a validator is asked and what it answers: plain, frozen, checked data."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from llm_worker.errors import InvalidRequestError

Question = Literal["multiclass", "binary"]
FloatArray = npt.NDArray[np.float32]

UNK = "unk"
YES = "yes"
NO = "no"
BINARY_OPTIONS = (YES, NO)
SUM_TOLERANCE = 1e-6


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise InvalidRequestError(sentence)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A label that may fit: its id and what a validator may read about it.

    `counter_examples` look like texts of this label and are not.
    """

    label_id: int
    name: str
    description: str = ""
    examples: tuple[str, ...] = ()
    counter_examples: tuple[str, ...] = ()

    @property
    def option(self) -> str:
        """The name of this label among the options of an answer."""
        return str(self.label_id)

    @property
    def text(self) -> str:
        """What stands for the label where one text is needed: name, then description."""
        return f"{self.name}. {self.description}" if self.description else self.name


@dataclass(frozen=True, slots=True)
class Document:
    """A document found for the text of a task, best first in the request."""

    document_id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Shot:
    """A solved example: another text, and the name of the label that it belongs to."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class ValidationRequest:
    """One question about one task.

    `candidates` are in the order of the reranker. A `binary` question asks whether the label
    `asked_label_id` holds; that label must be among the candidates. `text_vector`, shape (d,),
    unit length, is for validators that compare vectors. `shots` are the solved examples that were
    chosen for this task, the most similar first.

    Raises `InvalidRequestError` for anything that cannot be asked.
    """

    task_id: int
    text: str
    question: Question
    candidates: tuple[Candidate, ...]
    asked_label_id: int | None = None
    text_vector: FloatArray | None = field(default=None, compare=False)
    documents: tuple[Document, ...] = ()
    shots: tuple[Shot, ...] = ()

    def __post_init__(self) -> None:
        where = f"Task {self.task_id}:"
        _require(self.question in get_args(Question), f"{where} no question {self.question!r}.")
        _require(bool(self.text.strip()), f"{where} the text is empty.")
        _require(bool(self.candidates), f"{where} there are no candidates.")
        ids = [candidate.label_id for candidate in self.candidates]
        _require(len(set(ids)) == len(ids), f"{where} a candidate stands twice: {ids}.")
        if self.question == "binary":
            _require(
                self.asked_label_id in ids,
                f"{where} the asked label {self.asked_label_id} is not among the candidates.",
            )
        else:
            _require(self.asked_label_id is None, f"{where} only binary questions ask a label.")
        if self.text_vector is not None:
            _require(self.text_vector.ndim == 1, f"{where} the text vector must have shape (d,).")
            finite = bool(np.isfinite(self.text_vector).all())
            _require(finite, f"{where} the text vector has numbers that are not finite.")

    @property
    def options(self) -> tuple[str, ...]:
        """The options an answer has to give a probability to, in order."""
        if self.question == "binary":
            return BINARY_OPTIONS
        return (*(candidate.option for candidate in self.candidates), UNK)

    @property
    def asked(self) -> Candidate:
        """The candidate of a binary question. Raises `InvalidRequestError` for another."""
        for candidate in self.candidates:
            if candidate.label_id == self.asked_label_id:
                return candidate
        raise InvalidRequestError(f"Task {self.task_id}: a {self.question} question asks no label.")

    def prompt_hash(self, asked_by: str) -> str:
        """SHA-256 of everything the validator `asked_by` was shown, except the vector."""
        shown = {
            "asked_by": asked_by,
            "text": self.text,
            "question": self.question,
            "candidates": [asdict(candidate) for candidate in self.candidates],
            "asked": self.asked_label_id,
            "documents": [asdict(document) for document in self.documents],
            "shots": [asdict(shot) for shot in self.shots],
        }
        packed = json.dumps(shown, sort_keys=True, ensure_ascii=False).encode()
        return hashlib.sha256(packed).hexdigest()


@dataclass(frozen=True, slots=True)
class OptionProbabilities:
    """A probability for every option, summing to 1.

    `options` are label ids as text followed by `unk`, or `yes` and `no`. `mass`, in [0, 1], is
    the probability the validator gave to the options together before they were normalised: a
    low mass means it wanted to say something else. Validators that can only choose among the
    options have mass 1.
    """

    options: tuple[str, ...]
    probabilities: tuple[float, ...]
    mass: float = 1.0

    def __post_init__(self) -> None:
        _require(len(self.options) >= 2, "There must be at least two options.")
        _require(len(set(self.options)) == len(self.options), "An option stands twice.")
        same = len(self.options) == len(self.probabilities)
        _require(same, "There must be one probability per option.")
        for value in (*self.probabilities, self.mass):
            _require(
                math.isfinite(value) and 0.0 <= value <= 1.0,
                f"{value} is not a probability between 0 and 1.",
            )
        total = math.fsum(self.probabilities)
        _require(abs(total - 1.0) <= SUM_TOLERANCE, f"The probabilities sum to {total}, not to 1.")

    def of(self, option: str) -> float:
        """The probability of one option. Raises `InvalidRequestError` if it was not offered."""
        _require(option in self.options, f"{option!r} was not among the options.")
        return self.probabilities[self.options.index(option)]

    @property
    def best(self) -> str:
        """The likeliest option; the first of them in a tie."""
        return self.options[self.probabilities.index(max(self.probabilities))]

    def as_dict(self) -> dict[str, float]:
        """Option to probability, in order."""
        return dict(zip(self.options, self.probabilities, strict=True))


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a server behind a result.

    `low` and `high`, in the order of the result's options, bound the probability of each option
    before they were normalised: equal where the server told it, apart where an option was so
    unlikely that the server did not list it. `cut` names what of the prompt was not shown whole.
    `order` is the order in which the prompt offered the options, where it is not theirs.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    cut: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(len(self.low) == len(self.high), "A call bounds each option from both sides.")
        for below, above in zip(self.low, self.high, strict=True):
            _require(0.0 <= below <= above, f"No probability lies between {below} and {above}.")


@dataclass(frozen=True, slots=True)
class ValidationResult:
    """What one validator said of one task.

    `tokens` counts the tokens read by all calls (0 where none are), `cached_tokens` those of them
    that a prefix cache had read before (None where the server does not tell), `written_tokens`
    those that all calls wrote (None where that is one each, or the server does not tell),
    `text_was_cut` says that the validator did not see the whole text, `route` names how the
    probabilities were got, `latency_ms` is the task's share of the time of its batch. `calls` are
    the calls behind it, `reasoning` what the validator wrote before it answered.
    """

    task_id: int
    question: Question
    probabilities: OptionProbabilities
    latency_ms: float
    tokens: int
    prompt_hash: str
    route: str
    text_was_cut: bool = False
    calls: tuple[Call, ...] = ()
    cached_tokens: int | None = None
    written_tokens: int | None = None
    reasoning: str = ""

    def __post_init__(self) -> None:
        where = f"Task {self.task_id}:"
        sane = math.isfinite(self.latency_ms) and self.latency_ms >= 0.0
        _require(sane, f"{where} the latency {self.latency_ms} is not a time.")
        _require(self.tokens >= 0, f"{where} the number of tokens is below 0.")
        cached = self.cached_tokens or 0
        _require(
            0 <= cached <= self.tokens, f"{where} {cached} of {self.tokens} tokens are cached."
        )
        written = self.written_tokens or 0
        _require(written >= 0, f"{where} the number of written tokens is below 0.")
        _require(bool(self.route), f"{where} the result names no route.")
        if self.question == "binary":
            _require(
                self.probabilities.options == BINARY_OPTIONS,
                f"{where} a binary answer has the options yes and no.",
            )
        else:
            _require(
                self.probabilities.options[-1] == UNK,
                f"{where} the last option of a multiclass answer is unk.",
            )


@dataclass(frozen=True, slots=True)
class Spent:
    """What calls to a server took: how many replies came, tokens read, those of them that a prefix
    cache held (None where no reply told), tokens written."""

    calls: int = 0
    tokens: int = 0
    cached_tokens: int | None = None
    written_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ValidationFailure:
    """Why one validator said nothing of one task: a code, and a sentence for people. `spent` is
    what it took all the same."""

    task_id: int
    reason: str
    message: str
    retryable: bool = False
    spent: Spent = Spent()

    def __post_init__(self) -> None:
        _require(bool(self.reason), f"Task {self.task_id}: a failure needs a reason.")
        _require(bool(self.message.strip()), f"Task {self.task_id}: a failure needs a sentence.")


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a validator judges one task as it does, in words, or why it gives no reasons."""

    task_id: int
    text: str
    spent: Spent
    failure: str = ""

    def __post_init__(self) -> None:
        is_one = bool(self.text) != bool(self.failure)
        _require(is_one, f"Task {self.task_id}: either reasons or a sentence why there are none.")
