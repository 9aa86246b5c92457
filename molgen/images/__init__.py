"""Images through the same flow: data, a U-Net, training, sampling and a Fréchet distance."""
