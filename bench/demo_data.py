"""What the texts of the demo project look like, in figures.

`python -m bench.demo_data --json` counts rows, labels and languages by split, and looks for what
gives away text made by filling templates: copies, near copies, equal beginnings, repeated
sentence skeletons, a small vocabulary. The same is measured on as many rows of banking77, written
by people, where the data sets are present. docs/demo-data.md has the figures.
"""

from __future__ import annotations

import argparse
import os
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bench.common import read_rows, report, say
from labeling.demo import data
from labeling.demo.data import DemoText
from labeling.rules import normalise_text, text_hash

SPLITS = ("train", "fit", "tune", "certify", "test", "stream")
GRAM = 5
NEAR = (0.8, 0.6)
OPENING_WORDS = 3
SKELETON_WORDS = 6
FRAME_WORDS = 100
"""How many of the most frequent words stay themselves in a skeleton; all others become a gap."""
FRAME_LEAST = 3
"""Fewer kept words than this are no skeleton: nothing of the sentence is left."""
PERCENTILES = (5, 25, 50, 75, 95, 100)
ROOT = Path(__file__).resolve().parent.parent
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*|\d+")
SENTENCE_END = re.compile(r"(?<=[.!?…])\s+|\n+")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.demo_data", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="seed of the cut of banking77")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    report(measure(seed=options.seed), as_json=options.json)


def measure(*, seed: int) -> dict[str, Any]:
    """Every figure; those of banking77 are None where the data set is absent."""
    rows = data.texts(*SPLITS)
    texts = [row.text for row in rows]
    say(f"{len(texts)} texts of the demo ...")
    result: dict[str, Any] = {
        "rows": len(rows),
        "splits": splits(rows),
        "labels": labels(rows),
        "card_examples": sum(len(card["examples"]) for card in data.labels()),
        "counter_examples": sum(len(card["counter_examples"]) for card in data.labels()),
        "documents": len(data.documents()),
        "russian_share": share(is_russian(text) for text in texts),
        "outside_train_near_train": near_train(rows),
        **style(texts),
    }
    other = banking77(len(texts), seed)
    result["vocabulary"] = vocabulary(texts, other)
    if other is not None:
        say(f"{len(other)} texts of banking77 ...")
    result["banking77"] = style(other) if other is not None else None
    return result


def splits(rows: Sequence[DemoText]) -> dict[str, dict[str, int]]:
    """By split: all rows, those with a label, `unk`, `conf`, and those in Russian."""
    found = {}
    for split in SPLITS:
        part = [row for row in rows if row.split == split]
        kinds = Counter(row.label if row.label in ("unk", "conf") else "label" for row in part)
        found[split] = {
            "rows": len(part),
            **{kind: kinds[kind] for kind in ("label", "unk", "conf")},
            "russian": sum(is_russian(row.text) for row in part),
        }
    return found


def labels(rows: Sequence[DemoText]) -> dict[str, Any]:
    """How many labels there are, and how many texts the rarest and the commonest of them have."""
    counts = Counter(row.label for row in rows if row.label not in ("unk", "conf"))
    ordered = counts.most_common()
    return {
        "labels": len(ordered),
        "texts_per_label": float(np.median([n for _label, n in ordered])),
        "commonest": dict(ordered[:3]),
        "rarest": dict(ordered[-3:]),
    }


def style(texts: Sequence[str]) -> dict[str, Any]:
    """Copies, lengths, equal beginnings and repeated skeletons of any texts."""
    closest = most_similar(grams(texts))
    lengths = [len(WORD.findall(text)) for text in texts]
    return {
        "exact_duplicates": len(texts) - len({text_hash(text) for text in texts}),
        "near_duplicate_share": {
            f">={least}": share(value >= least for value in closest) for least in NEAR
        },
        "median_closest": round(float(np.median(closest)), 3),
        "words": {
            f"p{percent}": int(value)
            for percent, value in zip(
                PERCENTILES, np.percentile(lengths, PERCENTILES, method="lower"), strict=True
            )
        },
        "same_opening_share": same_opening(texts),
        "skeletons": skeletons(texts),
    }


def share(flags: Iterable[Any]) -> float:
    """The share of true values, to four digits."""
    values = [bool(flag) for flag in flags]
    return round(sum(values) / max(len(values), 1), 4)


def is_russian(text: str) -> bool:
    """More Cyrillic letters than Latin ones. Russian in Latin letters is not found."""
    return len(re.findall("[а-яё]", text.lower())) > len(re.findall("[a-z]", text.lower()))


def words(text: str) -> list[str]:
    """Words and numbers of the normalised text, typographic apostrophes made plain."""
    return [word.replace("’", "'") for word in WORD.findall(normalise_text(text))]


def grams(texts: Sequence[str]) -> csr_matrix:
    """Which character 5-grams each normalised text has: (n, vocabulary) of 0 and 1.

    A text shorter than that is one gram by itself.
    """
    known: dict[str, int] = {}
    columns: list[int] = []
    starts = [0]
    for text in texts:
        form = normalise_text(text)
        found = {form[at : at + GRAM] for at in range(max(len(form) - GRAM + 1, 1))}
        columns.extend(sorted(known.setdefault(gram, len(known)) for gram in found))
        starts.append(len(columns))
    ones = np.ones(len(columns), dtype=np.int32)
    return csr_matrix((ones, columns, starts), shape=(len(texts), len(known)))


def most_similar(rows: csr_matrix, others: csr_matrix | None = None) -> NDArray[np.float64]:
    """Jaccard similarity (n,) of each row's grams with the closest of `others`, or, without them,
    with the closest other row."""
    base = rows if others is None else others
    common = (rows @ base.T).toarray()
    sizes, base_sizes = (np.asarray(one.sum(axis=1)).ravel() for one in (rows, base))
    similarity = common / (sizes[:, None] + base_sizes[None, :] - common)
    if others is None:
        np.fill_diagonal(similarity, 0.0)
    closest: NDArray[np.float64] = similarity.max(axis=1)
    return closest


def near_train(rows: Sequence[DemoText]) -> dict[str, float]:
    """Share of the texts outside train whose closest text of train is a near copy."""
    every = grams([row.text for row in rows])
    train = np.array([row.split == "train" for row in rows])
    closest = most_similar(every[~train], every[train])
    return {f">={least}": share(value >= least for value in closest) for least in NEAR}


def same_opening(texts: Sequence[str]) -> float:
    """Share of texts whose first three words open another text, too."""
    openings = [tuple(words(text)[:OPENING_WORDS]) for text in texts]
    counts = Counter(opening for opening in openings if len(opening) == OPENING_WORDS)
    return share(counts[opening] > 1 for opening in openings)


def skeletons(texts: Sequence[str]) -> dict[str, Any]:
    """Sentences of six words or more in which every word but the hundred most frequent is a gap
    (three of which at least must stand in it): the share of texts with one that another text has,
    and the most frequent ones."""
    frequent = Counter(word for text in texts for word in words(text))
    frame = {word for word, _n in frequent.most_common(FRAME_WORDS)}
    holders: dict[str, set[int]] = {}
    for at, text in enumerate(texts):
        for sentence in SENTENCE_END.split(text):
            parts = words(sentence)
            kept = sum(word in frame for word in parts)
            if len(parts) >= SKELETON_WORDS and kept >= FRAME_LEAST:
                form = " ".join(word if word in frame else "_" for word in parts)
                holders.setdefault(form, set()).add(at)
    shared = {form: held for form, held in holders.items() if len(held) > 1}
    sharing = set().union(*shared.values()) if shared else set()
    top = sorted(shared, key=lambda form: (-len(shared[form]), form))[:5]
    return {
        "texts_sharing_one": round(len(sharing) / len(texts), 4),
        "most_frequent": {form: len(shared[form]) for form in top},
    }


def vocabulary(texts: Sequence[str], other: Sequence[str] | None) -> dict[str, Any]:
    """Distinct words and type/token ratio without the Russian texts, whose many word forms would
    flatter; of both sides over the same number of words, since the ratio falls with length."""
    ours = _tokens([text for text in texts if not is_russian(text)])
    theirs = _tokens(other) if other is not None else None
    n = min(len(ours), len(theirs)) if theirs is not None else len(ours)
    return {
        "words": len(ours),
        "distinct": len(set(ours)),
        "compared_over": n,
        "demo": _richness(ours[:n]),
        "banking77": _richness(theirs[:n]) if theirs is not None else None,
    }


def _tokens(texts: Sequence[str]) -> list[str]:
    mixed = list(texts)
    random.Random(0).shuffle(mixed)  # files are sorted by split or label
    return [word for text in mixed for word in words(text)]


def _richness(tokens: Sequence[str]) -> dict[str, float]:
    return {
        "distinct": len(set(tokens)),
        "type_token_ratio": round(len(set(tokens)) / len(tokens), 4),
    }


def banking77(n: int, seed: int) -> list[str] | None:
    """`n` random texts of banking77's train.csv, or None where COUNTERSIGN_DATA has none."""
    folder = Path(os.environ.get("COUNTERSIGN_DATA") or ROOT.parent / "shared" / "data")
    path = folder / "banking77" / "train.csv"
    if not path.exists():
        say("banking77 is not here (COUNTERSIGN_DATA): no comparison.")
        return None
    texts = [row["text"] for row in read_rows(path)]
    return random.Random(seed).sample(texts, min(n, len(texts)))


if __name__ == "__main__":
    main()
