"""How soon a search among all labels answers, in milliseconds, by the number of labels.

`python -m bench.label_search --json` makes label sets of made-up words (a name of three, a
description of twenty, five examples of ten) and asks for beginnings, words with a typo, two words
of an example, and words that are nowhere, as somebody who types does.
"""

from __future__ import annotations

import argparse
import random
import time
from typing import Any

from bench.common import report, say
from labeling.label_index import LabelCard, LabelIndex

SIZES = (77, 250, 5_000)
VOCABULARY = 20_000
LETTERS = "eeeetttaaaoooiiinnnssshhrrddllcumwfgypbvkjxqz"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.label_search", description=__doc__)
    parser.add_argument("--labels", type=int, nargs="+", default=list(SIZES), help="sizes")
    parser.add_argument("--repeats", type=int, default=200, help="searches of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the made-up words")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    words = ["".join(rng.choices(LETTERS, k=rng.randint(3, 10))) for _ in range(VOCABULARY)]
    result = {str(n): measure(n, options.repeats, words, rng) for n in options.labels}
    report(result, as_json=options.json)


def measure(labels: int, repeats: int, words: list[str], rng: random.Random) -> dict[str, Any]:
    """Seconds to build the index, and processor milliseconds of a search of each kind."""
    say(f"{labels:,} labels ...")
    cards = {pk: _card(pk, words, rng) for pk in range(labels)}
    started = time.process_time()
    index = LabelIndex(cards)
    built = time.process_time() - started
    kinds: dict[str, list[float]] = {}
    for _try in range(repeats):
        card = cards[rng.randrange(labels)]
        for kind, query in _queries(card, rng).items():
            started = time.process_time()
            index.find(query)
            kinds.setdefault(kind, []).append(1000 * (time.process_time() - started))
    found = {kind: _spread(taken) for kind, taken in kinds.items()}
    return {"index_seconds": round(built, 2), "milliseconds": found}


def _card(pk: int, words: list[str], rng: random.Random) -> LabelCard:
    some = [" ".join(rng.sample(words, 10)) for _ in range(7)]
    name = " ".join(rng.sample(words, 3))
    return LabelCard(pk, f"key{pk}", name, f"{some[0]} {some[1]}", tuple(some[2:]), ())


def _queries(card: LabelCard, rng: random.Random) -> dict[str, str]:
    word = max(card.name.split(), key=len)
    place = rng.randrange(1, len(word) - 1) if len(word) > 2 else 0
    return {
        "one letter": word[:1],
        "three letters": word[:3],
        "typo": word[:place] + word[place + 1 :],
        "two words of an example": " ".join(rng.choice(card.examples).split()[:2]),
        "nowhere": "qqqzz jjxx",
    }


def _spread(taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    return {
        "median": round(ordered[len(ordered) // 2], 2),
        "p95": round(ordered[int(0.95 * (len(ordered) - 1))], 2),
    }


if __name__ == "__main__":
    main()
