"""In what numbers a model multiplies: one rule for encoding and for training.

The caller says what it wants; where the hardware would only emulate it, float32 takes its place,
which is faster there.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, get_args

from rerank_engine.errors import EncoderError

Precision = Literal["float32", "bfloat16"]
FLOAT32: Precision = "float32"
BFLOAT16: Precision = "bfloat16"


def usable(wanted: str, device: str) -> Precision:
    """`wanted`, but float32 where a torch device ("cpu", "cuda") does not multiply it natively.

    Raises EncoderError for a precision that does not exist.
    """
    import torch

    if wanted not in get_args(Precision):
        raise EncoderError(f"The precision is {wanted!r}; it can be {FLOAT32} or {BFLOAT16}.")
    if device == "cuda":
        native = bool(torch.cuda.is_bf16_supported(including_emulation=False))
    else:
        native = device == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())
    return BFLOAT16 if native and wanted == BFLOAT16 else FLOAT32


def autocast(precision: str, device: str) -> AbstractContextManager[Any]:
    """Inside, multiplications of matrices are done in `precision`; weights stay in float32."""
    import torch

    narrow = usable(precision, device) == BFLOAT16
    return torch.autocast(device, dtype=torch.bfloat16) if narrow else nullcontext()
