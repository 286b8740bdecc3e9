"""Sizes at which everything runs in a second: generators too small to be good, and few steps."""

from __future__ import annotations

from typing import Any

GENERATORS: dict[str, dict[str, Any]] = {
    "class_conditional": {
        "vae_channels": [8, 8],
        "vae_steps": 10,
        "hidden_size": 32,
        "depth": 2,
        "num_heads": 2,
        "patch_size": 2,
        "dit_steps": 10,
    },
    "text_to_image": {
        "vae_channels": [8, 8],
        "vae_steps": 10,
        "text_width": 16,
        "text_depth": 1,
        "unet_channels": [16],
        "unet_steps": 5,
        "unet_batch": 8,
    },
}
"""`train` of a suite's generators, by kind."""

OPTIONS: dict[str, Any] = {
    "sampling_steps": 2,
    "epochs": 1,
    "steps": 2,
    "batch": 64,
    "initializer": "digit",
    "num_crops": 2,
    "negative": "",  # the small text encoder has no word for what Stable Diffusion is led away from
    "iterations": 2,
    "outer": 2,
    "inner": 1,
}
"""Options of methods that make them quick, where a method has them and allows the value."""
