"""One prompt for one question about one task.

The blocks stand in the order in which they change least to most, so that a server that caches
prefixes reads the common part once: instructions, domain and fixed examples (the same for every
task), label cards in the order of their ids (the same for tasks with the same candidates), examples
chosen for the task, documents, text, notes on it, and the options last, the only part that an order
of the candidates changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from llm_worker.errors import InvalidRequestError
from llm_worker.prompts.family import PromptFamily
from llm_worker.prompts.fence import MARK, OWN_MARK, fenced, one_line, shortened
from llm_worker.prompts.settings import MAX_INSTRUCTIONS, MAX_SHOTS, Approach, Asking
from llm_worker.types import NO, UNK, YES, Candidate, Document, Shot, ValidationRequest

PREFILL = "[ANSWER]"
"""What the answer starts with: no space after it, for the space may belong to the digit's token."""
MAX_CANDIDATES = 5
MAX_DOMAIN = 6000
MAX_NAME = 200
MAX_DESCRIPTION = 600
MAX_EXAMPLE = 200
MAX_DOCUMENT = 1200
MAX_SHOT = 400
MAX_NOTES = 2000


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is shown: documents, solved examples, examples of each kind on a card, characters of
    the text."""

    documents: int = 5
    shots: int = MAX_SHOTS
    examples: int = 3
    text: int = 8000


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, and what it takes to read the answer.

    `symbols` is the digit of each option, in the order of `ValidationRequest.options`; `cut` names
    what was not shown whole, of "domain", "shots", "cards", "documents", "text", "notes"; `prefill`
    is what the answer starts with, empty where the model starts it.
    """

    text: str
    symbols: tuple[str, ...]
    cut: tuple[str, ...]
    family: str
    prefill: str = PREFILL

    def messages(self, prefill: str | None = None) -> list[dict[str, str]]:
        """The chat: a message of the user, and the answer begun with `prefill`, if given.

        There is no system message, for some chat templates refuse one.
        """
        user = {"role": "user", "content": self.text}
        begun = self.prefill if prefill is None else prefill
        return [user, {"role": "assistant", "content": begun}] if begun else [user]

    def asking_why(self, explain: str) -> list[dict[str, str]]:
        """The same question, but for the reasons in place of the digit."""
        return [{"role": "user", "content": f"{self.text}\n\n{explain}"}]

    def asking_again(self, family: PromptFamily, reply: str) -> list[dict[str, str]]:
        """The same question after a reply without a readable answer: for the answer line alone."""
        blocks = _Blocks()
        if reply.strip():
            blocks.fence("REASONING", "notes", reply, MAX_NOTES)
        lines = [self.text, *blocks.lines, "", family.repair]
        return [{"role": "user", "content": "\n".join(lines)}]

    @property
    def hash(self) -> str:
        """SHA-256 of the family and the messages."""
        packed = json.dumps([self.family, self.messages()], ensure_ascii=False)
        return hashlib.sha256(packed.encode()).hexdigest()


def extents(shots: int = 0) -> Iterator[Extent]:
    """From everything to little, where there are `shots` solved examples: documents go first, then
    those, then examples on cards, then the text's end."""
    extent = Extent(shots=shots)
    yield extent
    for documents in range(extent.documents - 1, -1, -1):
        extent = replace(extent, documents=documents)
        yield extent
    while extent.shots:
        extent = replace(extent, shots=extent.shots // 2)
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
    asking: Asking | None = None,
    notes: str = "",
    extent: Extent | None = None,
) -> Prompt:
    """The prompt that asks `request` in the words of `family`.

    `domain` says what the texts are about, in the project's words. Documents are shown only where
    `reads_documents`. `notes` are a model's own on the text. All content is fenced
    (`prompts.fence`).

    Raises `InvalidRequestError` for more candidates than there are digits for.
    """
    if len(request.candidates) > MAX_CANDIDATES:
        raise InvalidRequestError(
            f"Task {request.task_id}: a prompt offers at most {MAX_CANDIDATES} candidates."
        )
    extent, asking = extent or Extent(), asking or Asking()
    blocks = _Blocks()
    _instructions(blocks, family, request, asking.instructions)
    if reads_documents:
        blocks.lines.append(family.documents)
    if domain.strip():
        blocks.fence("DOMAIN", "domain", domain, MAX_DOMAIN)
    _shots(blocks, family, request, asking.fixed, extent.shots)
    for candidate in _on_cards(request):
        _card(blocks, family, candidate, extent.examples, looks_alike=asking.looks_alike)
    _shots(blocks, family, request, request.shots, extent.shots)
    if reads_documents and request.documents:
        _documents(blocks, family, request.documents, extent.documents)
    blocks.fence("TEXT", "text", request.text, extent.text)
    if notes.strip():
        blocks.block("REASONING", [family.notes, *blocks.quoted("notes", notes, MAX_NOTES)])
    symbols, said = _options(family, request)
    blocks.block("OPTIONS", [family.asks[request.question], *said])
    return Prompt(
        text="\n".join(blocks.lines),
        symbols=symbols,
        cut=tuple(dict.fromkeys(blocks.cut)),
        family=family.key,
        prefill="" if asking.approach is Approach.TEXT else PREFILL,
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

    def quoted(self, what: str, content: str, at_most: int, mark: str = MARK) -> list[str]:
        lines, was_cut = fenced(content, at_most, mark)
        if was_cut:
            self.cut.append(what)
        return lines

    def quoted_all(self, what: str, contents: Sequence[str], most: int, at_most: int) -> list[str]:
        """A line for each of the first `most` contents."""
        if len(contents) > most:
            self.cut.append(what)
        single = [one_line(content) for content in contents[:most]]
        return [line for content in single for line in self.quoted(what, content, at_most)]


def _instructions(
    blocks: _Blocks, family: PromptFamily, request: ValidationRequest, own: str
) -> None:
    """What the job is, how to decide, how to answer, what is data. A project's own instructions
    take the place of the second alone, behind a mark that content cannot have."""
    question = request.question
    blocks.lines += [family.opening[question], ""]
    if own.strip():
        blocks.lines.append(family.own_guide)
        blocks.lines += blocks.quoted("instructions", own, MAX_INSTRUCTIONS, OWN_MARK)
    else:
        blocks.lines.append(family.guide[question])
    blocks.lines += ["", family.answering[question], "", family.reading]


def _shots(
    blocks: _Blocks,
    family: PromptFamily,
    request: ValidationRequest,
    shots: Sequence[Shot],
    most: int,
) -> None:
    """Solved examples; never the text itself, which would give the answer away."""
    asked = one_line(request.text).casefold()
    others = [shot for shot in shots if one_line(shot.text).casefold() != asked]
    if len(others) > most:
        blocks.cut.append("shots")
    lines = []
    for number, shot in enumerate(others[:most], start=1):
        lines += [family.shot.format(number=number), *blocks.quoted("shots", shot.text, MAX_SHOT)]
        lines += [family.label_of_shot, *blocks.quoted("shots", one_line(shot.label), MAX_NAME)]
    if lines:
        blocks.block("EXAMPLES", [family.shots, *lines])


def _on_cards(request: ValidationRequest) -> list[Candidate]:
    """The labels that the prompt describes, in an order that does not depend on their scores."""
    if request.question == "binary":
        return [request.asked]
    return sorted(request.candidates, key=lambda candidate: candidate.label_id)


def _card(
    blocks: _Blocks,
    family: PromptFamily,
    candidate: Candidate,
    examples: int,
    *,
    looks_alike: bool,
) -> None:
    lines = [family.name_of_label, *blocks.quoted("cards", one_line(candidate.name), MAX_NAME)]
    if candidate.description.strip():
        lines.append(family.description)
        lines += blocks.quoted("cards", candidate.description, MAX_DESCRIPTION)
    for heading, texts in (
        (family.fits, candidate.examples),
        (family.looks_alike, candidate.counter_examples if looks_alike else ()),
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
