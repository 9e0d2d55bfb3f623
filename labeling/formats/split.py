"""Which side of a training split a text is on: always the same, and copies on one side."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

from django.utils.translation import gettext as _

TRAIN, VALIDATION, TEST = "train", "validation", "test"


class SplitRefused(ValueError):
    """Shares that are no shares; the message is a sentence."""


@dataclass(frozen=True)
class Split:
    """Shares of the three sides, and the seed. The side of a text is decided by the hash of its
    normalised form alone, so exact copies stay together and new rows move no old one."""

    train: float
    validation: float
    test: float
    seed: str = ""

    @classmethod
    def of(cls, shares: str, seed: str = "") -> Split:
        """From “0.8,0.1,0.1” or “80,10,10”: shares of train, validation and test in any unit.

        Raises SplitRefused.
        """
        try:
            numbers = [float(part) for part in shares.replace("/", ",").split(",")]
        except ValueError:
            numbers = []
        if (
            len(numbers) != 3
            or not all(math.isfinite(n) and n >= 0 for n in numbers)
            or not math.isfinite(sum(numbers))
            or not sum(numbers)
        ):
            raise SplitRefused(
                _("Give three shares of train, validation and test, such as 80,10,10.")
            )
        whole = sum(numbers)
        return cls(numbers[0] / whole, numbers[1] / whole, numbers[2] / whole, seed)

    def side(self, text_hash: str, *, held_out: bool) -> str:
        """The side of the text with this hash. What stands in *tune*, *certify* or *test* of the
        benchmark, and every copy of it, is *test*: nothing may train on it (DESIGN 8.1)."""
        if held_out:
            return TEST
        drawn = hashlib.sha256(f"{self.seed}:{text_hash}".encode()).digest()
        place = int.from_bytes(drawn[:8], "big") / 2**64
        if place < self.train:
            return TRAIN
        # Rounding may leave the sum of two shares below 1 where the third is 0.
        return VALIDATION if place < self.train + self.validation or not self.test else TEST
