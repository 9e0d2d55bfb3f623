"""Arithmetic on option distributions that every client shares."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from llm_worker.errors import InvalidRequestError
from llm_worker.types import BINARY_OPTIONS, OptionProbabilities

Floats = npt.NDArray[np.float64]


def softmax(scores: npt.ArrayLike, *, temperature: float = 1.0) -> Floats:
    """Softmax over the last axis of `scores` / `temperature`, safe against overflow.

    A score of -inf gives probability 0; at least one score of a row must be finite.
    """
    if not temperature > 0.0:
        raise InvalidRequestError(f"A temperature must be above 0, not {temperature}.")
    scaled = np.asarray(scores, dtype=np.float64) / temperature
    weights: Floats = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=-1, keepdims=True))


def sigmoid(score: float) -> float:
    """1 / (1 + exp(-score)), safe against overflow."""
    return float(0.5 * (1.0 + np.tanh(0.5 * score)))


def distribution(options: tuple[str, ...], weights: npt.ArrayLike) -> OptionProbabilities:
    """Probabilities in the proportion of `weights` >= 0, shape (len(options),).

    The mass is the sum of the weights, at most 1: give raw probabilities and it says how much
    of the whole lay on the options.

    Raises `InvalidRequestError` for weights that are not finite, below 0, or all 0.
    """
    raw = np.asarray(weights, dtype=np.float64)
    if not np.isfinite(raw).all() or (raw < 0.0).any():
        raise InvalidRequestError("Weights of options must be finite and not below 0.")
    total = float(raw.sum())
    if total <= 0.0:
        raise InvalidRequestError("No option has any weight.")
    shares = np.clip(raw / total, 0.0, 1.0)
    return OptionProbabilities(options, tuple(float(share) for share in shares), min(total, 1.0))


def binary_distribution(probability_of_yes: float) -> OptionProbabilities:
    """The answer to a binary question, mass 1."""
    return OptionProbabilities(BINARY_OPTIONS, (probability_of_yes, 1.0 - probability_of_yes))


def unk_distribution(
    options: tuple[str, ...], logits: npt.ArrayLike, *, unk_logit: float, temperature: float
) -> OptionProbabilities:
    """softmax([logits, unk_logit] / temperature) over candidates and `unk`, mass 1."""
    scores = np.append(np.asarray(logits, dtype=np.float64), unk_logit)
    return distribution(options, softmax(scores, temperature=temperature))
