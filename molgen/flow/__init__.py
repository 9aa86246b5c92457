"""The mathematics of diffusion and flow: tensors in, tensors out, no chemistry.

t = 0 is data and t = 1 noise; lam is HALF the log signal-to-noise ratio, ``log(a / b)``. Start with
``schedule``, ``grid``, ``process``, ``solvers.base`` and ``objective``; fitting is in ``fit``.

The public names, listed in ``__init__.pyi``, load on first use.
"""

from __future__ import annotations

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
