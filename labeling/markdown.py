"""Markdown that people write, as HTML that is safe to show.

Raw HTML is text, images are left out (nothing loads from other hosts), and what remains is cleaned
by a list of what may stand.
"""

from __future__ import annotations

from functools import lru_cache

import nh3
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt

MAX_CHARACTERS = 50_000
_TAGS = (
    "a blockquote br code del em h3 h4 h5 h6 hr li ol p pre s strong table tbody td th thead tr ul"
)
_PARSER = (
    MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"]).disable("image")
)
# A page has a heading of its own, and what stands in it begins two levels further down.
_DEEPER = {f"h{level}": f"h{min(level + 2, 6)}" for level in range(1, 7)}


@lru_cache(maxsize=512)
def rendered(text: str) -> SafeString:
    """`text` as HTML."""
    tokens = _PARSER.parse(text)
    for token in tokens:
        token.tag = _DEEPER.get(token.tag, token.tag)
    html = nh3.clean(
        str(_PARSER.renderer.render(tokens, _PARSER.options, {})),
        tags=set(_TAGS.split()),
        attributes={"a": {"href", "title"}, "ol": {"start"}},
        url_schemes={"http", "https", "mailto"},
        link_rel="noopener noreferrer nofollow",
    )
    return mark_safe(html)  # cleaned just above
