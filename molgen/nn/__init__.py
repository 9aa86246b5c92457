"""Neural building blocks: plain tensors in, plain tensors out, no chemistry."""
