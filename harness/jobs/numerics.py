"""Torch's global switches that change numbers: every job begins with the same ones.

A plugin may set them when it is imported, and a method while it runs; without this, each later job of the process would
compute something else under an unchanged key.
"""

from __future__ import annotations


def set_defaults() -> None:
    """Set every switch to torch's own default, whatever a plugin or an earlier job of this process left."""
    import torch

    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.set_flush_denormal(False)
    if torch.are_deterministic_algorithms_enabled():  # the call imports torch's compiler, which takes a second and more
        torch.use_deterministic_algorithms(False)
    if torch.get_float32_matmul_precision() != "highest":  # no TF32 in products of matrices
        torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = False
