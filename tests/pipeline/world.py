"""A tiny shop for tests of the pipeline: eight labels, texts to train on, a stream, documents.

The real encoder, classifier, nearest-texts validator and cross-encoder work on it. They are
trained once a session; every test gets rows of its own that point at the artifacts on disk. Labels
have fixed ids for that, since the saved validators name labels by id.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import transaction

from labeling import dispatch
from labeling.actions.artifacts import register_artifact, register_validator
from labeling.actions.taxonomy import parse_labels, set_labels
from labeling.actions.training_rows import import_training_rows
from labeling.models import (
    Artifact,
    Document,
    HardThreshold,
    Label,
    ModelVersion,
    Project,
    Stage,
    Validator,
)
from llm_worker.pipeline.documents import build_index

SLUG = "tiny-shop"
FIRST_LABEL_ID = 900_001

# Label to a description and texts; the first five of each are trained on, the rest is the stream.
LABELS: dict[str, tuple[str, list[str]]] = {
    "late_delivery": (
        "A parcel that should have arrived has not.",
        [
            "my parcel is three days late",
            "Where is my order? it was due on Monday",
            "the courier never came yesterday",
            "tracking has not moved for a week",
            "still waiting for the delivery you promised",
            "package late again, what is going on",
            "It said delivered by Friday and nothing has come.",
            "how long until my late parcel arrives",
        ],
    ),
    "refund_status": (
        "When money for a returned or cancelled order comes back.",
        [
            "when do I get my money back",
            "has my refund been sent yet",
            "I returned the shoes two weeks ago, where is the refund",
            "refund not on my bank statement",
            "how long does a refund take",
            "you said refunded but I see nothing in my account",
            "Any news about the refund for my cancelled order?",
            "waiting on a refund since March",
        ],
    ),
    "change_address": (
        "The delivery address of an order or an account is to be changed.",
        [
            "I moved, please send it to my new address",
            "can I change the delivery address",
            "wrong street on my order, please correct it",
            "ship it to my office instead of home",
            "update my postal address",
            "typo in the house number of my order",
            "How do I edit where my order is delivered to?",
            "please deliver to another city, I have moved",
        ],
    ),
    "cancel_order": (
        "An order that has not been sent is to be called off.",
        [
            "please cancel my order",
            "I ordered by mistake, stop it",
            "don't send it, I changed my mind",
            "cancel the second item of my order",
            "how do I call off an order",
            "I want to cancel before it ships",
            "Is it too late to cancel what I bought this morning?",
            "cancel everything I ordered today",
        ],
    ),
    "payment_failed": (
        "A payment was declined or did not go through.",
        [
            "my card was declined at checkout",
            "payment does not go through",
            "error when I pay with my visa",
            "the bank refused the payment twice",
            "cannot pay, it says transaction failed",
            "paypal payment got rejected",
            "Checkout says my payment failed but my card is fine.",
            "why is my card not accepted",
        ],
    ),
    "password_reset": (
        "Somebody cannot sign in because of a lost or locked password.",
        [
            "I forgot my password",
            "reset link does not arrive",
            "cannot log in to my account",
            "my account is locked after wrong passwords",
            "how do I set a new password",
            "password reset mail never comes",
            "The login page does not take my password any more.",
            "locked out, need a new password",
        ],
    ),
    "gift_card": (
        "Buying, sending or redeeming gift cards.",
        [
            "how do I redeem a gift card",
            "gift card code is not valid",
            "can I buy a voucher for a friend",
            "what is the balance of my gift card",
            "the gift voucher has expired",
            "combine two gift cards in one order",
            "Do you sell gift cards worth 20 euros?",
            "my voucher code does not work",
        ],
    ),
    "product_return": (
        "Sending back goods that do not fit, do not please or are broken.",
        [
            "the shoes are too small, I want to send them back",
            "how do I return an item",
            "arrived broken, I want to return it",
            "print a return label for me",
            "can I exchange the jacket for a larger size",
            "return period for sale items",
            "The lamp does not match the picture; how do I give it back?",
            "where do I drop off a return",
        ],
    ),
}
TRAINED = 5
DOCUMENTS = {
    "returns": "Returns are free for thirty days. Print the return label in your account.",
    "refunds": "A refund reaches your bank account five to ten days after we got the return.",
    "delivery": "Parcels take two to four days. Late parcels are traced after a week.",
    "gift-cards": "Gift cards are valid for three years and can be combined in one order.",
    "passwords": "Use the reset link; it is valid for one hour. Five wrong tries lock an account.",
}


def training_texts() -> list[dict[str, str]]:
    return [
        {"text": text, "category": name}
        for name, (_description, texts) in LABELS.items()
        for text in texts[:TRAINED]
    ]


def stream() -> list[tuple[str, str]]:
    """Texts that nothing was trained on, with their label."""
    return [
        (text, name) for name, (_description, texts) in LABELS.items() for text in texts[TRAINED:]
    ]


@dataclass(frozen=True)
class Trained:
    """What the session's training left behind: rows to make again in every test."""

    artifacts: list[dict[str, Any]]
    validators: list[dict[str, Any]]
    hard: dict[str, Any]
    said: str


def make_shop(*, trained_on: bool = True, **settings: Any) -> Project:
    """The project with its labels, under their fixed ids, and the rows to train on."""
    project = Project.objects.create(slug=SLUG, name="Tiny shop", audit_share=0.0, **settings)
    for place, name in enumerate(LABELS):
        Label.objects.create(pk=FIRST_LABEL_ID + place, project=project, key=name, name=name)
    cards = [{"name": name, "description": about} for name, (about, _texts) in LABELS.items()]
    set_labels(project=project, specs=parse_labels(cards), by="test")
    if trained_on:
        import_training_rows(project=project, rows=training_texts(), by="test")
    return project


def add_documents(project: Project) -> Artifact:
    for external_id, text in DOCUMENTS.items():
        Document.objects.create(project=project, external_id=external_id, text=text)
    index = build_index(project)
    assert index is not None
    return index


class _Undo(Exception):
    """Leaves a transaction without a trace in the database."""


def train(file: Path) -> Trained:
    """Train everything by the commands; the artifacts stay on disk, the rows are rolled back."""
    write_csv(file, training_texts())
    found: list[Trained] = []
    try:
        with transaction.atomic():
            project = make_shop(trained_on=False)
            said = StringIO()
            call_command("train_classifier", SLUG, str(file), stdout=said, stderr=said)
            call_command("train_validators", SLUG, stdout=said, stderr=said)
            found.append(_what_stands(project, said.getvalue()))
            raise _Undo
    except _Undo:
        return found[0]


def write_csv(file: Path, rows: list[dict[str, str]]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def _what_stands(project: Project, said: str) -> Trained:
    artifacts = project.artifacts.order_by("pk")
    names = ("kind", "path", "digest", "data_hash", "info")
    return Trained(
        artifacts=list(artifacts.values(*names)),
        validators=[dict(row) for row in project.validators.order_by("pk").values("name", "kind")],
        hard=dict(HardThreshold.objects.values("k", "threshold", "rows", "misclassified").get()),
        said=said,
    )


def send(project: Project, items: Sequence[tuple[str, str]]) -> None:
    """Let the classifier predict for (external id, text); the predictions enter the pipeline."""
    dispatch.run_here(
        "classify",
        project_id=project.pk,
        items=[{"external_id": external_id, "text": text} for external_id, text in items],
    )


def send_stream(project: Project) -> dict[str, str]:
    """Send the whole stream; returns the reference label by external id."""
    texts = stream()
    send(project, [(f"s{place}", text) for place, (text, _name) in enumerate(texts)])
    return {f"s{place}": name for place, (_text, name) in enumerate(texts)}


def work_off(*stages: str) -> None:
    """Let the jobs of these stages (all by default) work until nothing is due."""
    for stage in stages or Stage.working():
        dispatch.run_here(dispatch.job_of(stage))


def put_in_use(project: Project, trained: Trained) -> ModelVersion:
    """The rows that training would write, for artifacts that stand on disk."""
    for fields in trained.artifacts:
        register_artifact(project=project, by="test", **fields)
    for fields in trained.validators:
        register_validator(
            project=project,
            name=fields["name"],
            kind=Validator.Kind(fields["kind"]),
            settings={},
            artifact=project.artifacts.get(kind=fields["kind"]),
            by="test",
        )
    classifier = project.artifacts.get(kind=Artifact.Kind.CLASSIFIER)
    version = ModelVersion.objects.create(
        project=project, name=classifier.info["model_version"], score_kind="logits"
    )
    HardThreshold.objects.create(model_version=version, **trained.hard)
    return version
