"""Several validators' option probabilities as one distribution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Distribution = Mapping[str, float]


def mean_pool(verdicts: Sequence[Distribution]) -> dict[str, float]:
    """The mean of option probabilities (Tsymbalov 2025, section 3.9: averaging the ensemble).

    An option that a verdict does not name counts as 0 there. Raises ValueError without verdicts.
    """
    if not verdicts:
        raise ValueError("There is no verdict to pool.")
    options = {option for verdict in verdicts for option in verdict}
    return {
        option: sum(verdict.get(option, 0.0) for verdict in verdicts) / len(verdicts)
        for option in options
    }


def best_option(pooled: Distribution) -> tuple[str, float]:
    """The most probable option and its probability; ties go to the option that sorts first, so
    that the same verdicts always decide the same way."""
    option = min(pooled, key=lambda name: (-pooled[name], name))
    return option, pooled[option]
