"""The denoiser of images: a U-Net that predicts the velocity of the unit-total-variance state."""

from __future__ import annotations

from typing import cast

import torch
from diffusers import UNet2DModel
from torch import Tensor, nn

from molgen.flow.parameterisation import V
from molgen.flow.state import State
from molgen.images.config import ImageConfig

CHANNELS = 3
_TICKS = 25.0
"""Units of the network's time embedding per unit of half-log-SNR: its fastest wave then has a
period of a quarter, finer than any step of a sampler and coarser than the training data's gaps."""


class ImageDenoiser(nn.Module):
    """Estimates clean images from noisy ones at a half-log-SNR.

    Images in and out are in the unit of the training data, of about unit variance.

    Args:
        config: The recipe.
    """

    def __init__(self, config: ImageConfig) -> None:
        super().__init__()
        self.lam_min, self.lam_max = config.lam_min, config.lam_max
        self.size = config.data.size
        self.network: nn.Module = _unet(config)

    def forward(self, x: Tensor, lam: Tensor) -> Tensor:
        """Velocity ``a eps - b x0``.

        Args:
            x: State of unit total variance, ``[B, C, S, S]``.
            lam: Half-log-SNR, ``[B]``; beyond the trained range its nearest end is told.
        """
        told = lam.to(torch.float32).clamp(self.lam_min, self.lam_max)
        estimate: Tensor = self.network(x, _TICKS * (self.lam_max - told)).sample
        return estimate.to(x.dtype)

    def denoise(self, x: State, lam: Tensor) -> Tensor:
        """Clean images from states that share one level: the `Denoiser` that solvers call.

        Raises:
            TypeError: The state has several modalities.
        """
        if not isinstance(x, Tensor):
            raise TypeError("images are one tensor")
        level = lam.to(x.device)
        return V.x0(self(x, level.expand(len(x))), x, level)

    def n_parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(weight.numel() for weight in self.parameters())


def _unet(config: ImageConfig) -> nn.Module:
    model = config.model
    attends = [level in model.attend for level in range(len(model.channels))]
    unet = UNet2DModel(  # type: ignore[no-untyped-call]
        sample_size=config.data.size,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        layers_per_block=model.layers,
        block_out_channels=model.channels,
        down_block_types=tuple("AttnDownBlock2D" if yes else "DownBlock2D" for yes in attends),
        up_block_types=tuple("AttnUpBlock2D" if yes else "UpBlock2D" for yes in attends[::-1]),
        norm_num_groups=model.groups,
        attention_head_dim=model.head_dim,
        dropout=model.dropout,
        resnet_time_scale_shift="scale_shift",
    )
    return cast("nn.Module", unet)
