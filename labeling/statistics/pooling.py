"""Several validators' option probabilities as one distribution."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Distribution = Mapping[str, float]

MEAN, LINEAR, LOG_LINEAR = "mean", "linear", "log_linear"
POOLS = (MEAN, LINEAR, LOG_LINEAR)


def mean_pool(verdicts: Sequence[Distribution]) -> dict[str, float]:
    """The mean of option probabilities (Tsymbalov 2025, section 3.9: averaging the ensemble).

    An option that a verdict does not name counts as 0 there. Raises ValueError without verdicts.
    """
    return linear_pool(verdicts, [1.0] * len(verdicts))


def linear_pool(verdicts: Sequence[Distribution], weights: Sequence[float]) -> dict[str, float]:
    """The mean with one weight for each verdict; weights are taken relative to their sum.

    An option that a verdict does not name counts as 0 there. Raises ValueError without verdicts,
    or where the weights are negative, sum to 0, or are not as many as the verdicts.
    """
    shares = _shares(verdicts, weights)
    return {
        option: sum(
            verdict.get(option, 0.0) * share
            for verdict, share in zip(verdicts, shares, strict=True)
        )
        for option in _options(verdicts)
    }


def log_linear_pool(
    verdicts: Sequence[Distribution],
    weights: Sequence[float],
    *,
    temperature: float,
    floor: float,
) -> dict[str, float]:
    """log q = sum of w_v log p_v / temperature, normalised; weights relative to their sum.

    One validator that is sure of *no* can veto an option, so every probability (that of an option
    that the validator does not name among them) is first drawn towards the uniform distribution:
    p becomes (1 - floor) p + floor / options. Raises ValueError as `linear_pool` does, and unless
    the temperature is positive and 0 < floor < 1.
    """
    if not (temperature > 0.0 and 0.0 < floor < 1.0):
        raise ValueError("A temperature is above 0, a floor between 0 and 1.")
    shares = _shares(verdicts, weights)
    options = _options(verdicts)
    logs = {
        option: sum(
            share * math.log(raised(verdict.get(option, 0.0), floor, len(options)))
            for verdict, share in zip(verdicts, shares, strict=True)
        )
        / temperature
        for option in options
    }
    highest = max(logs.values())
    unscaled = {option: math.exp(value - highest) for option, value in logs.items()}
    total = math.fsum(unscaled.values())
    return {option: value / total for option, value in unscaled.items()}


def raised(probability: float, floor: float, options: int) -> float:
    """A probability that is not 0: the distribution over `options` is mixed with a uniform one."""
    return (1.0 - floor) * probability + floor / options


def pool(rule: Mapping[str, Any], verdicts: Mapping[int, Distribution]) -> dict[str, float]:
    """What the verdicts, by validator id, come to under the rule of a policy.

    Where a cascade has not asked all validators yet, those that were asked share the weight.
    """
    said = list(verdicts.values())
    if rule.get("pool", MEAN) == MEAN:
        return mean_pool(said)
    weights = [float(rule["weights"][str(validator)]) for validator in verdicts]
    if rule["pool"] == LINEAR:
        return linear_pool(said, weights)
    return log_linear_pool(
        said, weights, temperature=float(rule["temperature"]), floor=float(rule["floor"])
    )


def best_option(pooled: Distribution) -> tuple[str, float]:
    """The most probable option and its probability; ties go to the option that sorts first, so
    that the same verdicts always decide the same way."""
    option = min(pooled, key=lambda name: (-pooled[name], name))
    return option, pooled[option]


def _options(verdicts: Sequence[Distribution]) -> list[str]:
    return sorted({option for verdict in verdicts for option in verdict})


def _shares(verdicts: Sequence[Distribution], weights: Sequence[float]) -> list[float]:
    if not verdicts:
        raise ValueError("There is no verdict to pool.")
    total = math.fsum(weights)
    if len(weights) != len(verdicts) or min(weights) < 0.0 or not total > 0.0:
        raise ValueError("Each verdict needs a weight that is not negative, and one above 0.")
    return [weight / total for weight in weights]
