"""Fixtures of the rerank engine's tests: one real encoder for the whole session."""

from __future__ import annotations

import pytest

from rerank_engine.encoder import Encoder


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    return Encoder.load(device="cpu")
