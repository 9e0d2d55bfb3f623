"""A small label set with made texts, and builders of requests about them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llm_worker.types import Candidate, FloatArray, Question, ValidationRequest

LABELS = {
    10: Candidate(10, "lost parcel", "the parcel never arrived or went missing on its way"),
    20: Candidate(20, "change address", "the delivery address has to be another one"),
    30: Candidate(30, "refund", "the customer wants the money back"),
    40: Candidate(40, "opening hours", "when the shop is open"),
}
LABEL_TEXTS = {label_id: label.text for label_id, label in LABELS.items()}
TEXTS = {
    10: (
        "my parcel never arrived",
        "the package went missing somewhere",
        "tracking says delivered but I have no parcel",
        "three weeks and still no package here",
        "I think the courier lost my box",
        "parcel not here yet, where is it",
        "the shipment vanished on the way",
        "nothing was delivered to me",
    ),
    20: (
        "please send it to another address",
        "I moved, can you update my address",
        "wrong street in my order, change it",
        "deliver it to my office instead",
        "new house number for the delivery please",
        "can I change where it is delivered",
        "I typed the wrong postcode",
        "the address on my order is outdated",
    ),
    30: (
        "I want my money back",
        "when do I get my refund",
        "refund me for the broken lamp",
        "you owe me 20 euros",
        "how long does a repayment take",
        "please return the money to my card",
        "I was promised a refund last week",
        "give me back what I paid",
    ),
    40: (
        "when do you open on Sunday",
        "are you open today",
        "what are your opening hours",
        "until what time is the shop open",
        "do you close at six",
        "is the store open on holidays",
        "opening time on Monday?",
        "how late can I come in tonight",
    ),
}


def rows() -> tuple[list[str], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Every text, its label id (n,), and all other labels as confused ones (n, 3)."""
    texts = [text for group in TEXTS.values() for text in group]
    ids = [label_id for label_id, group in TEXTS.items() for _ in group]
    negatives = [[other for other in LABELS if other != label_id] for label_id in ids]
    return texts, np.array(ids), np.array(negatives)


def asked(
    task_id: int = 1,
    text: str = "where is my parcel",
    *,
    question: Question = "multiclass",
    labels: tuple[int, ...] = (10, 20, 30, 40),
    about: int | None = None,
    vector: FloatArray | None = None,
) -> ValidationRequest:
    return ValidationRequest(
        task_id=task_id,
        text=text,
        question=question,
        candidates=tuple(LABELS[label] for label in labels),
        asked_label_id=about,
        text_vector=vector,
    )
