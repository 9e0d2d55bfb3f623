"""What became of an erasure, in sentences for the page and the command."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from labeling.actions.erase import Erased


def outcome_in_words(done: Erased) -> list[str]:
    """What was erased and what is left to do, a sentence each."""
    n = len(done.erasures)
    said = [ngettext("%(n)d text was erased.", "%(n)d texts were erased.", n) % {"n": n}]
    if done.copies_left:
        left = ngettext(
            "%(n)d other task still has the same text.",
            "%(n)d other tasks still have the same text.",
            done.copies_left,
        )
        said.append(left % {"n": done.copies_left})
    if done.validators:
        gone = _(
            "Out of use, since an example of theirs was erased: %(names)s. Register them anew."
        )
        said.append(gone % {"names": ", ".join(done.validators)})
    if done.models_may_know_it:
        said.append(_("Models that were trained from labeled texts may know it: train them anew."))
    return said
