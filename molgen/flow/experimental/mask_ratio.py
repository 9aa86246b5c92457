"""Loss of masked tokens, scaled by how many of them were really masked.

With a masking probability p, the number of masked tokens scatters around p N. Dividing by the
realised number instead of the expected one takes that scatter out of the loss
(SDAR-VL, 2025: effective mask-ratio scaling).
"""

from __future__ import annotations

from torch import Tensor


def mask_ratio_loss(loss: Tensor, masked: Tensor, real: Tensor | None = None) -> Tensor:
    """Mean loss over the masked tokens of each sample.

    Args:
        loss: Loss of every token, ``[B, N]``.
        masked: Tokens that the process has masked, bool, ``[B, N]``.
        real: Tokens that exist, bool, ``[B, N]``; all if None.

    Returns:
        Shape ``[B]``; 0 for a sample without a masked token.
    """
    counted = masked if real is None else masked & real
    return (loss * counted).sum(dim=1) / counted.sum(dim=1).clamp_min(1)


def expected_ratio_loss(loss: Tensor, masked: Tensor, ratio: Tensor) -> Tensor:
    """The usual estimate, scaled by the expected masked fraction: what the above is held against.

    Args:
        loss: Loss of every token, ``[B, N]``.
        masked: Tokens that the process has masked, bool, ``[B, N]``.
        ratio: Masking probability of every sample, ``[B]``.

    Returns:
        Shape ``[B]``.
    """
    return (loss * masked).mean(dim=1) / ratio
