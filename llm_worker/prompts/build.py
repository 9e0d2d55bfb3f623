"""One prompt for one question about one task.

The blocks stand in the order in which they change least to most, so that a server that caches
prefixes reads the common part once: instructions and domain (the same for every task), label
cards in the order of their ids (the same for tasks with the same candidates), documents, text,
and the options last, the only part that an order of the candidates changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from llm_worker.errors import InvalidRequestError
from llm_worker.prompts.families import PromptFamily
from llm_worker.prompts.fence import fenced, one_line, shortened
from llm_worker.types import NO, UNK, YES, Candidate, Document, ValidationRequest

PREFILL = "[ANSWER]"
"""What the answer starts with: no space after it, for the space may belong to the digit's token."""
MAX_CANDIDATES = 5
MAX_DOMAIN = 6000
MAX_NAME = 200
MAX_DESCRIPTION = 600
MAX_EXAMPLE = 200
MAX_DOCUMENT = 1200


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is shown: documents, examples of each kind on a card, characters of the text."""

    documents: int = 5
    examples: int = 3
    text: int = 8000


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, and what it takes to read the answer.

    `symbols` is the digit of each option, in the order of `ValidationRequest.options`; `cut` names
    what was not shown whole, of "domain", "cards", "documents", "text".
    """

    text: str
    symbols: tuple[str, ...]
    cut: tuple[str, ...]
    family: str

    def messages(self, prefill: str = PREFILL) -> list[dict[str, str]]:
        """The chat: one message of the user, and an answer that was begun with `prefill`.

        There is no system message, for some chat templates refuse one.
        """
        return [
            {"role": "user", "content": self.text},
            {"role": "assistant", "content": prefill},
        ]

    def asking_why(self, explain: str) -> list[dict[str, str]]:
        """The same question, but for the reasons in place of the digit."""
        return [{"role": "user", "content": f"{self.text}\n\n{explain}"}]

    @property
    def hash(self) -> str:
        """SHA-256 of the family and the messages."""
        packed = json.dumps([self.family, self.messages()], ensure_ascii=False)
        return hashlib.sha256(packed.encode()).hexdigest()


def extents() -> Iterator[Extent]:
    """From everything to little: documents go first, then examples, then the text's end."""
    extent = Extent()
    yield extent
    for documents in range(extent.documents - 1, -1, -1):
        extent = replace(extent, documents=documents)
        yield extent
    for examples in (1, 0):
        extent = replace(extent, examples=examples)
        yield extent
    for text in (4000, 2000, 1000, 500, 250):
        extent = replace(extent, text=text)
        yield extent


def build_prompt(
    family: PromptFamily,
    request: ValidationRequest,
    *,
    domain: str = "",
    reads_documents: bool = False,
    extent: Extent | None = None,
) -> Prompt:
    """The prompt that asks `request` in the words of `family`.

    `domain` says what the texts are about, in the project's words. Documents are shown only where
    `reads_documents`. All content is fenced (`prompts.fence`).

    Raises `InvalidRequestError` for more candidates than there are digits for.
    """
    if len(request.candidates) > MAX_CANDIDATES:
        raise InvalidRequestError(
            f"Task {request.task_id}: a prompt offers at most {MAX_CANDIDATES} candidates."
        )
    extent = extent or Extent()
    blocks = _Blocks()
    blocks.lines.append(family.instructions[request.question])
    if reads_documents:
        blocks.lines.append(family.documents)
    if domain.strip():
        blocks.fence("DOMAIN", "domain", domain, MAX_DOMAIN)
    for candidate in _on_cards(request):
        _card(blocks, family, candidate, extent.examples)
    if reads_documents and request.documents:
        _documents(blocks, family, request.documents, extent.documents)
    blocks.fence("TEXT", "text", request.text, extent.text)
    symbols, said = _options(family, request)
    blocks.block("OPTIONS", [family.asks[request.question], *said])
    return Prompt(
        text="\n".join(blocks.lines),
        symbols=symbols,
        cut=tuple(dict.fromkeys(blocks.cut)),
        family=family.key,
    )


class _Blocks:
    """Lines of a prompt, and what of the content was cut."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.cut: list[str] = []

    def block(self, tag: str, lines: Sequence[str]) -> None:
        self.lines += ["", f"[{tag}]", *lines, f"[/{tag}]"]

    def fence(self, tag: str, what: str, content: str, at_most: int) -> None:
        self.block(tag, self.quoted(what, content, at_most))

    def quoted(self, what: str, content: str, at_most: int) -> list[str]:
        lines, was_cut = fenced(content, at_most)
        if was_cut:
            self.cut.append(what)
        return lines

    def quoted_all(self, what: str, contents: Sequence[str], most: int, at_most: int) -> list[str]:
        """A line for each of the first `most` contents."""
        if len(contents) > most:
            self.cut.append(what)
        single = [one_line(content) for content in contents[:most]]
        return [line for content in single for line in self.quoted(what, content, at_most)]


def _on_cards(request: ValidationRequest) -> list[Candidate]:
    """The labels that the prompt describes, in an order that does not depend on their scores."""
    if request.question == "binary":
        return [request.asked]
    return sorted(request.candidates, key=lambda candidate: candidate.label_id)


def _card(blocks: _Blocks, family: PromptFamily, candidate: Candidate, examples: int) -> None:
    lines = [family.name_of_label, *blocks.quoted("cards", one_line(candidate.name), MAX_NAME)]
    if candidate.description.strip():
        lines.append(family.description)
        lines += blocks.quoted("cards", candidate.description, MAX_DESCRIPTION)
    for heading, texts in (
        (family.fits, candidate.examples),
        (family.looks_alike, candidate.counter_examples),
    ):
        shown = blocks.quoted_all("cards", texts, examples, MAX_EXAMPLE)
        lines += [heading, *shown] if shown else []
    blocks.block("LABEL", lines)


def _documents(
    blocks: _Blocks, family: PromptFamily, documents: Sequence[Document], most: int
) -> None:
    if len(documents) > most:
        blocks.cut.append("documents")
    lines = []
    for number, document in enumerate(documents[:most], start=1):
        lines.append(family.document.format(number=number))
        content = f"{one_line(document.title)}\n{document.text}"
        lines += blocks.quoted("documents", content, MAX_DOCUMENT)
    if lines:
        blocks.block("RETRIEVED", lines)


def _options(family: PromptFamily, request: ValidationRequest) -> tuple[tuple[str, ...], list[str]]:
    """The digit of each option, in the order of the request's options, and the lines about them."""
    if request.question == "binary":
        symbol = {YES: "1", NO: "0"}
        said = {YES: family.yes.format(label=_name(request.asked)), NO: family.no}
    else:
        numbered = enumerate(request.candidates, start=1)
        symbol = {candidate.option: str(number) for number, candidate in numbered} | {UNK: "0"}
        said = {candidate.option: _name(candidate) for candidate in request.candidates}
        said[UNK] = family.unk
    options = request.options
    return tuple(symbol[option] for option in options), [
        f"{symbol[option]} = {said[option]}" for option in options
    ]


def _name(candidate: Candidate) -> str:
    """The label's name on a line of ours."""
    return shortened(one_line(candidate.name), MAX_NAME)[0]
