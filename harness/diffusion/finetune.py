"""Fine-tune a DiT: loss, optimiser step, EMA, and a state that resumes bit for bit.

In: clean latents and labels, per step. Out: a loss per sample and the predicted clean latents, to which a method may
add its own criteria before it calls `step`. It never sees images or classes' names.

Shapes: B batch, C latent channels, h = w latent side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.diffusion.difffit import trainable_names
from harness.diffusion.dit import DiT
from harness.diffusion.ema import Ema
from harness.diffusion.process import NUM_TIMESTEPS, GaussianDiffusion

_MOMENTS = ("exp_avg", "exp_avg_sq")


class FineTuner:
    """Trains chosen parameters of a DiT in place, with AdamW and an EMA.

    Args:
        model: with DiffFit scales already added where the mode asks for them.
        mode: which parameters train, see `difffit.trainable_names`.
        lr: constant AdamW learning rate; Minimax Diffusion: 1e-3.
        weight_decay: AdamW weight decay; Minimax Diffusion: 0.
        ema_decay: Minimax Diffusion: 0.9999, and it is the EMA that samples.
        label_dropout: share of labels replaced by the null class, one draw per sample; DiT: 0.1.
    """

    def __init__(
        self, model: DiT, *, mode: str, lr: float, weight_decay: float, ema_decay: float, label_dropout: float
    ) -> None:
        chosen = set(trainable_names(model, mode))
        model.requires_grad_(False)
        self.model = model
        self.label_dropout = label_dropout
        self.process = GaussianDiffusion()
        self._parameters = {name: p for name, p in model.named_parameters() if name in chosen}
        for parameter in self._parameters.values():
            parameter.requires_grad_(True)
        device = next(iter(self._parameters.values())).device
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=lr, weight_decay=weight_decay, fused=device.type in {"cpu", "cuda"}
        )
        self._ema = Ema(self._parameters.values(), ema_decay)
        self.num_steps = 0

    @property
    def num_trainable(self) -> int:
        """Number of values that train."""
        return sum(p.numel() for p in self._parameters.values())

    def loss(self, x0_BChw: Tensor, labels_B: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the diffusion loss [B] and the predicted clean latents [B, C, h, w]; both carry gradient.

        Args:
            x0_BChw: clean latents, on any device.
            labels_B: the generator's labels, see `ClassConditionalGenerator.label_of`.
            rng: CPU generator; draws timesteps, then noise, then dropped labels, the same on every device.
        """
        device, batch = self.model.pos_embed.device, len(x0_BChw)
        t = torch.randint(0, NUM_TIMESTEPS, (batch,), generator=rng)
        noise = torch.randn(x0_BChw.shape, generator=rng)
        drop = torch.rand(batch, generator=rng) < self.label_dropout
        return self.process.training_losses(
            self.model, x0_BChw.to(device), t.to(device), labels_B.to(device), noise.to(device), drop.to(device)
        )

    def step(self, loss: Tensor) -> None:
        """Go one optimiser step down the scalar `loss`, then update the EMA."""
        loss.backward()
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._ema.update()
        self.num_steps += 1

    def state(self) -> dict[str, Tensor]:
        """Return the EMA values of what trains, on the CPU: what `ClassConditionalGenerator.apply_finetuned` takes."""
        return {
            name: value.detach().cpu().clone() for name, value in zip(self._parameters, self._ema.values, strict=True)
        }

    def checkpoint(self) -> dict[str, Any]:
        """Return all that `restore` needs, flat: "KIND/NAME" to tensors on the CPU, and "num_steps"."""
        out: dict[str, Any] = {"num_steps": self.num_steps}
        for (name, parameter), average in zip(self._parameters.items(), self._ema.values, strict=True):
            out[f"param/{name}"] = parameter.detach().cpu().clone()
            out[f"ema/{name}"] = average.cpu().clone()
            moments = self._optimizer.state[parameter]
            for key in _MOMENTS:
                out[f"{key}/{name}"] = (
                    moments[key].cpu().clone() if moments else torch.zeros_like(parameter, device="cpu")
                )
        return out

    @torch.no_grad()
    def restore(self, checkpoint: Mapping[str, Any]) -> None:
        """Continue where `checkpoint` was taken; on a CPU the continuation is bit-equal to an uninterrupted run.

        Raises:
            ValueError: the checkpoint is of other parameters.
        """
        expected = {f"{kind}/{name}" for kind in ("param", "ema", *_MOMENTS) for name in self._parameters}
        wrong = sorted(expected ^ (set(checkpoint) - {"num_steps"}))
        if wrong:
            raise ValueError(f"the checkpoint does not match this training: different entries {wrong[:4]}")
        self.num_steps = int(checkpoint["num_steps"])
        for (name, parameter), average in zip(self._parameters.items(), self._ema.values, strict=True):
            parameter.copy_(checkpoint[f"param/{name}"])
            average.copy_(checkpoint[f"ema/{name}"])
        self._optimizer.load_state_dict(self._optimizer_state(checkpoint))

    def _optimizer_state(self, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
        """The optimiser's own form of its moments; it copies them to the parameters' device."""
        state = {}
        if self.num_steps:
            for index, name in enumerate(self._parameters):
                moments = {key: checkpoint[f"{key}/{name}"].clone() for key in _MOMENTS}
                state[index] = {"step": torch.tensor(float(self.num_steps)), **moments}
        return {"state": state, "param_groups": self._optimizer.state_dict()["param_groups"]}
