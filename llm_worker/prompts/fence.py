"""Content that cannot leave its place in a prompt.

Texts, documents, label cards and guidelines come from anywhere, and the server reads special
tokens (`<|im_end|>`, `[INST]`) wherever they stand in a message. So no content keeps the four
characters of which tags and special tokens are made, and each of its lines starts with a mark:
a line without the mark is ours. Nothing is escaped that would have to be unescaped.
"""

from __future__ import annotations

import re
import unicodedata

MARK = "| "
OWN_MARK = "> "
"""Before the lines of a project's own instructions: neutral content has no such character."""
CUT = " …"

# Angle brackets become quotation marks that no Unicode normal form turns back; square brackets
# become round ones. The others are those that NFKC, which some tokenizers apply, turns into them.
_BRACKETS = str.maketrans(
    {
        **dict.fromkeys("<\ufe64\uff1c", "‹"),
        **dict.fromkeys(">\ufe65\uff1e", "›"),
        **dict.fromkeys("[\ufe47\uff3b", "("),
        **dict.fromkeys("]\ufe48\uff3d", ")"),
    }
)
# These end with a combining stroke that a normal form may split off a bracket.
_SPLIT = str.maketrans({"\u226e": "‹/", "\u226f": "›/"})
_STROKE = "\u0338"
_SPACES = re.compile(r"\s+")


def neutral(content: str) -> str:
    """`content` without tags, special tokens and characters that nobody sees.

    Line ends of every kind become "\\n"; other control characters, direction marks, invisible
    tag characters and halves of surrogate pairs go. The result holds none of `<>[]`, in any
    Unicode normal form.
    """
    lines = content.translate(_SPLIT).replace(_STROKE, "").translate(_BRACKETS).splitlines()
    return "\n".join("".join(filter(_is_seen, line.replace("\t", " "))) for line in lines)


def one_line(content: str) -> str:
    """`content` made neutral, on one line, with single spaces."""
    return _SPACES.sub(" ", neutral(content)).strip()


def shortened(content: str, at_most: int) -> tuple[str, bool]:
    """The first `at_most` characters of `content` and a sign of the cut; was anything cut?"""
    if len(content) <= at_most:
        return content, False
    return content[:at_most].rstrip() + CUT, True


def fenced(content: str, at_most: int, mark: str = MARK) -> tuple[list[str], bool]:
    """The lines of `content`, neutral, each behind the mark; empty lines go.

    At most `at_most` characters of it are kept; the second value says whether some were cut.
    """
    kept, was_cut = shortened(neutral(content).strip(), at_most)
    return [mark + line.rstrip() for line in kept.splitlines() if line.strip()], was_cut


def _is_seen(character: str) -> bool:
    """Is this a character for readers? Joiners stay: emoji and some scripts are built with them."""
    return character in "\u200c\u200d" or unicodedata.category(character) not in ("Cc", "Cf", "Cs")
