# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Schedules: total variance and signal-to-noise ratio are two choices
#
# A noised state is x = a·x₀ + b·ε. Its total variance τ² = a² + b² and its ratio γ = a/b can be
# chosen apart (Kahouli et al. 2025). Below: what that is worth on a mixture, whose best denoiser is
# known exactly, and on molecules.

# %%
import matplotlib.pyplot as plt
import torch

import molgen
from molgen.flow import DDIM, ISSNR, Cosine, Euler, OTFlow, TimeGrid

schedules = {
    "cosine": Cosine(),
    "flow matching (OT)": OTFlow(),
    "the same, constant variance": OTFlow().with_tv("const"),
    "ISSNR, η = 2": ISSNR(eta=2.0, kappa=0.0),
}
t = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
figure, axes = plt.subplots(1, 2, figsize=(9, 3))
for name, schedule in schedules.items():
    axes[0].plot(t, schedule.lam(t), label=name)
    axes[1].plot(t, schedule.log_tau(t).exp(), label=name)
axes[0].set(xlabel="t", ylabel="log γ", title="signal-to-noise ratio")
axes[1].set(xlabel="t", ylabel="τ", title="total variance")
axes[0].legend(fontsize=8)
figure.tight_layout()

# %% [markdown]
# ## A mixture of two normal distributions
#
# The best estimate of x₀ is in closed form. Samples of a few network calls are compared with the
# mixture by the Wasserstein-1 distance.

# %%
MEANS, WIDTH = torch.tensor([-1.0, 0.7], dtype=torch.float64), 0.15
SHARES = torch.tensor([0.3, 0.7], dtype=torch.float64)


def denoise(x, lam):
    """The exact posterior mean at unit total variance."""
    a2 = torch.sigmoid(2 * lam)
    a, b2 = a2.sqrt(), 1 - a2
    spread = a2 * WIDTH**2 + b2
    weight = (SHARES.log() - (x - a * MEANS) ** 2 / (2 * spread)).softmax(-1)
    means = MEANS + a * WIDTH**2 / spread * (x - a * MEANS)
    return (weight * means).sum(-1, keepdim=True)


torch.manual_seed(0)
noise = torch.randn(20_000, 1, dtype=torch.float64)
kind = torch.multinomial(SHARES, len(noise), replacement=True)
truth = (MEANS[kind] + WIDTH * torch.randn(len(noise), dtype=torch.float64)).sort().values
calls = [2, 4, 8, 16, 32]
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
kinds = {"exponential (DDIM)": lambda _: DDIM(), "Euler": Euler}
for axis, (label, solver_of) in zip(axes, kinds.items(), strict=True):
    for name, schedule in schedules.items():
        errors = []
        for n in calls:
            grid = TimeGrid.uniform(schedule, n)
            made = solver_of(schedule).solve(denoise, noise, grid).flatten().sort().values
            errors.append(float((made - truth).abs().mean()))
        axis.loglog(calls, errors, marker="o", label=name)
    axis.set(xlabel="network calls", title=label)
    axis.set_xticks(calls, calls)
    axis.minorticks_off()
axes[0].set(ylabel="Wasserstein-1 distance")
axes[0].legend(fontsize=8)
figure.tight_layout()

# %% [markdown]
# An exponential solver sees the ratio alone; Euler's errors depend on the total variance too. That
# is the paper's argument for holding it constant, and for spending few calls along γ.
#
# ## On molecules
#
# The teacher `qm9` needs many calls; the student `qm9-few` was distilled to few.

# %%
few = [1, 2, 4, 8]
share = {}
for name in ("qm9", "qm9-few"):
    generator = molgen.load(name)
    share[name] = []
    for steps in few:
        mols = generator.sample(32, steps=steps, seed=0, progress=False)
        scores = molgen.evaluate(mols, checks={"relax": False, "checks": []})
        share[name].append(scores.perceived_valid.value)
for name, values in share.items():
    plt.plot(few, values, marker="o", label=name)
plt.xlabel("network calls")
plt.ylabel("valid from coordinates, n = 32")
plt.legend()
plt.show()
