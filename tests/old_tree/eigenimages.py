"""Eigenimages: draw from a Gaussian in the leading principal directions of each class's pixels."""

import torch
from pydantic import Field

from harness import AFTER_FIT, UNHASHED, DistilledSet, Method, State, Task, register_method


@register_method("eigenimages")
class Eigenimages(Method):
    """Subspace iteration finds the directions of each class once; every IPC draws from them."""

    version = 1  # +1 whenever an unchanged config would give other images
    title = "Eigenimages"
    reference = "an example of this documentation; no paper"
    nested = True  # the set at IPC 10 is the head of the set at IPC 50

    class Config(Method.Config):
        """Options."""

        directions: int = Field(16, ge=1, description="principal directions kept per class")
        steps: int = Field(20, ge=1, description="steps of the subspace iteration")
        spread: float = Field(
            1.0, ge=0, description="factor on the standard deviations of the draws", json_schema_extra=AFTER_FIT
        )
        checkpoint_every: int = Field(10, ge=1, description="steps between checkpoints", json_schema_extra=UNHASHED)

    def fit(self, task: Task) -> State:
        """Return the mean [P] and the scaled directions [K, P] of each class; P values of an image, K directions."""
        cfg, found = self.config, {}
        real = {c.id: task.real.images(c.id).flatten(1).float() / 255 for c in task.classes}  # [n, P]
        centred = {name: x - x.mean(dim=0) for name, x in real.items()}
        saved = task.checkpoint.load() or {"step": 0}  # what a killed fit left, on the CPU
        basis = {
            name: torch.randn(x.shape[1], cfg.directions, generator=task.rng(f"start/{name}")).to(x.device)
            for name, x in centred.items()
        }
        if saved["step"]:
            basis = {name: saved[f"basis/{name}"].to(x.device) for name, x in centred.items()}
        with task.progress(cfg.steps, "step", "finding directions") as advance:
            for step in range(saved["step"], cfg.steps):
                basis = {name: torch.linalg.qr(x.T @ (x @ basis[name])).Q for name, x in centred.items()}
                if (step + 1) % cfg.checkpoint_every == 0:
                    task.checkpoint.save({"step": step + 1} | {f"basis/{name}": b for name, b in basis.items()})
                advance(step + 1)
        for name, x in centred.items():
            found[f"mean/{name}"] = real[name].mean(dim=0)
            found[f"directions/{name}"] = (x @ basis[name]).std(dim=0)[:, None] * basis[name].T
        return found

    def synthesize(self, task: Task, state: State, ipc: int) -> DistilledSet:
        """Draw `ipc` images per class, each from a random stream of its own."""
        images = {}
        for c in task.classes:
            mean, directions = state[f"mean/{c.id}"], state[f"directions/{c.id}"]
            draws = [torch.randn(len(directions), generator=task.rng(f"{c.id}/{i}")) for i in range(ipc)]
            flat = mean + self.config.spread * torch.stack(draws) @ directions
            images[c.id] = flat.clamp(0, 1).view(ipc, 3, task.image_size, task.image_size)
        return DistilledSet(images)
