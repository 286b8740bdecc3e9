"""Weights of a DiT on disk: the original checkpoint's layout (ours) and diffusers', converted both ways, exactly.

In: a diffusers folder or an original `.pt` file. Out: a `DiT` whose every tensor came from the file. Nothing is loaded
approximately: a missing, unknown or misshapen tensor is refused with its name.

Differences of the layouts: diffusers splits qkv into three linears, gives every block its own copy of the timestep and
class embedders, and keeps no position table.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from harness.core.errors import UserError
from harness.diffusion.dit import DiT, DiTConfig, sincos_table

State = dict[str, Tensor]
Shapes = dict[str, list[int]]

_HEADS_BY_WIDTH = {1152: 16, 1024: 16, 768: 12, 384: 6}
"""DiT-XL, L, B and S: the heads are not written in an original checkpoint."""
_BLOCK_NAMES = {
    "adaLN_modulation.1": "norm1.linear",
    "attn.proj": "attn1.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}
_OUTER_NAMES = {
    "x_embedder.proj": "pos_embed.proj",
    "final_layer.adaLN_modulation.1": "proj_out_1",
    "final_layer.linear": "proj_out_2",
}
_EMBEDDER_NAMES = {
    "t_embedder.mlp.0.weight": "timestep_embedder.linear_1.weight",
    "t_embedder.mlp.0.bias": "timestep_embedder.linear_1.bias",
    "t_embedder.mlp.2.weight": "timestep_embedder.linear_2.weight",
    "t_embedder.mlp.2.bias": "timestep_embedder.linear_2.bias",
    "y_embedder.embedding_table.weight": "class_embedder.embedding_table.weight",
}


def to_diffusers(state: Mapping[str, Tensor], depth: int) -> State:
    """Return the state of diffusers' `DiTTransformer2DModel` that equals `state`, which has no DiffFit scales."""
    out: State = {}
    for ours, theirs in _OUTER_NAMES.items():
        for kind in ("weight", "bias"):
            out[f"{theirs}.{kind}"] = state[f"{ours}.{kind}"]
    for i in range(depth):
        block, other = f"blocks.{i}", f"transformer_blocks.{i}"
        for ours, theirs in _EMBEDDER_NAMES.items():
            out[f"{other}.norm1.emb.{theirs}"] = state[ours].clone()
        for kind in ("weight", "bias"):
            parts = state[f"{block}.attn.qkv.{kind}"].chunk(3)
            for letter, part in zip("qkv", parts, strict=True):
                out[f"{other}.attn1.to_{letter}.{kind}"] = part.contiguous()
            for ours, theirs in _BLOCK_NAMES.items():
                out[f"{other}.{theirs}.{kind}"] = state[f"{block}.{ours}.{kind}"]
    return out


def from_diffusers(state: Mapping[str, Tensor], config: DiTConfig, where: str = "the weights") -> State:
    """Return our state from that of diffusers' `DiTTransformer2DModel`.

    Raises:
        UserError: a tensor is missing or unknown, or the blocks' copies of an embedder differ, which no network with
            one embedder can equal.
    """
    source = dict(state)
    out: State = {"pos_embed": sincos_table(config.hidden_size, config.input_size // config.patch_size)}
    table = source.pop("pos_embed.pos_embed", None)  # written by old versions of diffusers
    if table is not None:
        out["pos_embed"] = table

    def take(name: str) -> Tensor:
        if name not in source:
            raise UserError(f"{where}: tensor {name!r} is missing; expected diffusers' DiTTransformer2DModel")
        return source.pop(name)

    for i in range(config.depth):
        block, other = f"blocks.{i}", f"transformer_blocks.{i}"
        for ours, theirs in _EMBEDDER_NAMES.items():
            copy = take(f"{other}.norm1.emb.{theirs}")
            if not torch.equal(out.setdefault(ours, copy), copy):
                raise UserError(
                    f"{where}: block {i}'s copy of the embedder tensor {theirs!r} differs from block 0's. A DiT has "
                    "one embedder for all blocks; this file was probably fine-tuned in diffusers, block by block."
                )
        for kind in ("weight", "bias"):
            out[f"{block}.attn.qkv.{kind}"] = torch.cat([take(f"{other}.attn1.to_{x}.{kind}") for x in "qkv"])
            for ours, theirs in _BLOCK_NAMES.items():
                out[f"{block}.{ours}.{kind}"] = take(f"{other}.{theirs}.{kind}")
    for ours, theirs in _OUTER_NAMES.items():
        for kind in ("weight", "bias"):
            out[f"{ours}.{kind}"] = take(f"{theirs}.{kind}")
    if source:
        raise UserError(f"{where}: unexpected tensors for a DiT of this config: {', '.join(sorted(source)[:4])}")
    return out


def diffusers_config(config: DiTConfig) -> dict[str, Any]:
    """Return the arguments of diffusers' `DiTTransformer2DModel` for our config, with the original's norm epsilon."""
    return {
        "num_attention_heads": config.num_heads,
        "attention_head_dim": config.hidden_size // config.num_heads,
        "in_channels": config.in_channels,
        "out_channels": 2 * config.in_channels,
        "num_layers": config.depth,
        "sample_size": config.input_size,
        "patch_size": config.patch_size,
        "num_embeds_ada_norm": config.num_classes,
        "norm_eps": 1e-6,
    }


def load_dit(path: Path, *, num_heads: int | None = None) -> DiT:
    """Load a DiT on the CPU, float32, ready for inference.

    Args:
        path: a diffusers `transformer` folder (config.json and safetensors), or an original `.pt` file.
        num_heads: attention heads of an original `.pt` file of a width other than DiT-S, B, L and XL.

    Raises:
        UserError: the path holds no DiT, or its tensors do not fit its config.
    """
    if path.is_dir():
        config = _read_config(path / "config.json")
        state = from_diffusers(_read_folder(path), config, str(path))
    elif path.is_file():
        state = _read_torch(path)
        config = infer_config(state, str(path), num_heads=num_heads)
    else:
        raise UserError(f"{path}: no such file or folder; expected a diffusers transformer folder or a DiT .pt file")
    return dit_from_state(state, config, str(path))


def check_dit(path: Path, *, num_heads: int | None = None) -> DiTConfig:
    """Check by names and shapes alone that `load_dit` would load this; takes a second for DiT-XL/2.

    Raises:
        UserError: as `load_dit`, but for what only values tell (blocks' embedder copies that differ).
    """
    if path.is_dir():
        config = _read_config(path / "config.json")
        found = _folder_shapes(path)
        found.pop("pos_embed.pos_embed", None)
    elif path.is_file():
        state = _read_torch(path)
        config = infer_config(state, str(path), num_heads=num_heads)
        found = {name: list(tensor.shape) for name, tensor in state.items()}
    else:
        raise UserError(f"{path}: no such file or folder; expected a diffusers transformer folder or a DiT .pt file")
    with torch.device("meta"):
        expected = DiT(config).state_dict()
    if path.is_dir():
        expected = to_diffusers(expected, config.depth)
    _check_shapes({name: list(tensor.shape) for name, tensor in expected.items()}, found, config, str(path))
    return config


def dit_from_state(state: Mapping[str, Tensor], config: DiTConfig, where: str = "the weights") -> DiT:
    """Return a DiT that holds exactly `state` (as float32).

    Raises:
        UserError: names or shapes differ from those of the config.
    """
    with torch.device("meta"):
        model = DiT(config)
    expected = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    _check_shapes(expected, {name: list(tensor.shape) for name, tensor in state.items()}, config, where)
    model.load_state_dict({k: v.float().contiguous() for k, v in state.items()}, assign=True)
    return model.requires_grad_(False).eval()


def _check_shapes(expected: Shapes, found: Shapes, config: DiTConfig, where: str) -> None:
    missing, unknown = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing or unknown:
        raise UserError(f"{where}: not the tensors of {config}: missing {missing[:4]}, unknown {unknown[:4]}")
    for name, shape in expected.items():
        if found[name] != shape:
            raise UserError(f"{where}: tensor {name!r} has shape {found[name]}, expected {shape} for {config}")


def infer_config(state: Mapping[str, Tensor], where: str, *, num_heads: int | None = None) -> DiTConfig:
    """Return the config that an original checkpoint's shapes imply.

    Raises:
        UserError: it is no DiT with learned variance, or its number of heads is not known.
    """
    needed = ("pos_embed", "x_embedder.proj.weight", "y_embedder.embedding_table.weight", "final_layer.linear.bias")
    absent = [name for name in needed if name not in state]
    if absent:
        raise UserError(f"{where}: tensors {absent} are missing; expected an original DiT checkpoint")
    width, channels, patch, _ = state["x_embedder.proj.weight"].shape
    outputs = len(state["final_layer.linear.bias"]) // patch**2
    if outputs != 2 * channels:
        raise UserError(
            f"{where}: the network returns {outputs} channels for {channels}; expected {2 * channels} "
            "(learned variance)"
        )
    heads = num_heads or _HEADS_BY_WIDTH.get(width)
    if heads is None:
        raise UserError(
            f"{where}: width {width} does not match DiT-S, B, L or XL {sorted(_HEADS_BY_WIDTH)}; set num_heads"
        )
    blocks = {int(name.split(".")[1]) for name in state if name.startswith("blocks.")}
    return DiTConfig(
        input_size=round(state["pos_embed"].shape[1] ** 0.5) * patch,
        patch_size=patch,
        in_channels=channels,
        hidden_size=width,
        depth=len(blocks),
        num_heads=heads,
        num_classes=len(state["y_embedder.embedding_table.weight"]) - 1,
    )


def _read_config(path: Path) -> DiTConfig:
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the config of a diffusers transformer")
    found = json.loads(path.read_text())
    # "Transformer2DModel" is what the config of facebook/DiT-XL-2-256 still says.
    kind = found.get("_class_name")
    if kind not in {"DiTTransformer2DModel", "Transformer2DModel"} or found.get("norm_type") != "ada_norm_zero":
        raise UserError(
            f"{path}: describes a {kind} with norm_type {found.get('norm_type')!r}; expected "
            "DiTTransformer2DModel with 'ada_norm_zero'"
        )
    channels = found["in_channels"]
    if found.get("out_channels") != 2 * channels:
        raise UserError(
            f"{path}: out_channels is {found.get('out_channels')}, expected {2 * channels}: a DiT with learned "
            "variance returns noise and variance"
        )
    return DiTConfig(
        input_size=found["sample_size"],
        patch_size=found["patch_size"],
        in_channels=channels,
        hidden_size=found["num_attention_heads"] * found["attention_head_dim"],
        depth=found["num_layers"],
        num_heads=found["num_attention_heads"],
        num_classes=found["num_embeds_ada_norm"],
    )


def _read_folder(folder: Path) -> State:
    from safetensors.torch import load_file

    files = _tensor_files(folder)
    if files[0].suffix == ".bin":
        return _read_torch(files[0])
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def _folder_shapes(folder: Path) -> Shapes:
    from safetensors import SafetensorError, safe_open

    files = _tensor_files(folder)
    if files[0].suffix == ".bin":
        return {name: list(tensor.shape) for name, tensor in _read_torch(files[0]).items()}
    shapes: Shapes = {}
    for file in files:
        try:
            with safe_open(file, framework="pt") as tensors:
                shapes |= {name: list(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file}: cannot be read as safetensors ({error}); download it again") from error
    return shapes


def _tensor_files(folder: Path) -> list[Path]:
    """Return the files that hold a folder's tensors: safetensors (one, or those of an index), or one `.bin`."""
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    if index.is_file():
        return [folder / name for name in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    safe, binary = folder / "diffusion_pytorch_model.safetensors", folder / "diffusion_pytorch_model.bin"
    for file in (safe, binary):
        if file.is_file():
            return [file]
    raise UserError(f"{folder}: contains neither {safe.name} nor {binary.name}")


def _read_torch(path: Path) -> State:
    """Read a `.pt` or `.bin` file without running code from it; {"ema": weights} gives the EMA weights.

    Tensors stay in the file until they are used, but for files in the format before torch 1.6, which are read whole.
    """
    try:
        mapped = zipfile.is_zipfile(path)
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(f"{path}: cannot be read as plain tensors ({error}); convert it to safetensors") from error
    found = found.get("ema", found) if isinstance(found, dict) else found
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise UserError(
            f"{path}: holds {type(found).__name__}; expected a dict of names to tensors, optionally under the key 'ema'"
        )
    return found
