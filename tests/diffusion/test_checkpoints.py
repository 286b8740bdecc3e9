"""Weights in diffusers' layout and in the original's become one network, exactly.

Tolerance of outputs: 1e-5; two float32 implementations of the small network (outputs of std 1) differ by 1e-7.
"""

import json

import pytest
import torch
from diffusers import DiTTransformer2DModel
from safetensors.torch import save_file

from harness.core.errors import UserError
from harness.diffusion.checkpoints import (
    check_dit,
    diffusers_config,
    from_diffusers,
    infer_config,
    load_dit,
    to_diffusers,
)
from harness.diffusion.dit import DiT, DiTConfig
from tests.diffusion.filled import golden, hash_fill, sine_input

CONFIG = DiTConfig(**golden("dit_forward")["small_networks"]["a"]["config"])


@pytest.fixture
def ours() -> DiT:
    return hash_fill(DiT(CONFIG)).eval()


@pytest.fixture
def theirs(ours) -> DiTTransformer2DModel:
    model = DiTTransformer2DModel(**diffusers_config(CONFIG))
    model.load_state_dict(to_diffusers(ours.state_dict(), CONFIG.depth))
    return model.eval()


@pytest.fixture
def folder(theirs, tmp_path):
    theirs.save_pretrained(tmp_path / "transformer")
    return tmp_path / "transformer"


def test_both_ways_is_the_identity(ours):
    state = ours.state_dict()
    back = from_diffusers(to_diffusers(state, CONFIG.depth), CONFIG)

    assert back.keys() == state.keys()
    assert all(torch.equal(back[name], state[name]) for name in state)


def test_cured_diffusers_network_gives_the_same_numbers(ours, theirs):
    """The cure of the timestep embedding; the one of the norm is in the config that we write."""
    for block in theirs.transformer_blocks:
        block.norm1.emb.time_proj.downscale_freq_shift = 0
    x, t, y = sine_input(2, 4, 8, 8), torch.tensor([10, 999]), torch.tensor([1, 10])

    with torch.no_grad():
        torch.testing.assert_close(theirs(x, t, y).sample, ours(x, t, y), atol=1e-5, rtol=0)


def test_uncured_diffusers_network_gives_other_numbers(ours, theirs):
    """Why this package has its own DiT; if this fails, diffusers has mended it."""
    x, t, y = sine_input(2, 4, 8, 8), torch.tensor([10, 500]), torch.tensor([1, 7])

    with torch.no_grad():
        assert (theirs(x, t, y).sample - ours(x, t, y)).abs().max() > 0.5


def test_a_diffusers_folder_loads_exactly(ours, folder):
    loaded = load_dit(folder)

    assert loaded.config == CONFIG
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), ours.parameters(), strict=True))
    assert not any(p.requires_grad for p in loaded.parameters())


def test_the_old_binary_format_loads_too(ours, folder):
    """The hub's DiT-XL-2-256 is stored so, with another class name in its config."""
    state = to_diffusers(ours.state_dict(), CONFIG.depth) | {"pos_embed.pos_embed": ours.pos_embed.data}
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(state, folder / "diffusion_pytorch_model.bin")
    config = json.loads((folder / "config.json").read_text()) | {"_class_name": "Transformer2DModel"}
    (folder / "config.json").write_text(json.dumps(config))

    assert all(torch.equal(a, b) for a, b in zip(load_dit(folder).parameters(), ours.parameters(), strict=True))


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"ema": state, "args": {"lr": 1e-4}}])
def test_an_original_checkpoint_loads_exactly(ours, tmp_path, wrap):
    torch.save(wrap(ours.state_dict()), tmp_path / "dit.pt")

    loaded = load_dit(tmp_path / "dit.pt", num_heads=4)

    assert loaded.config == CONFIG
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), ours.parameters(), strict=True))


def test_the_shape_of_xl_is_read_from_its_tensors():
    with torch.device("meta"):
        state = DiT(DiTConfig()).state_dict()

    assert infer_config(state, "xl") == DiTConfig()


def test_differing_embedder_copies_are_refused(theirs):
    state = theirs.state_dict()
    state["transformer_blocks.2.norm1.emb.class_embedder.embedding_table.weight"] += 1.0

    with pytest.raises(UserError, match=r"block 2's copy .* differs from block 0's"):
        from_diffusers(state, CONFIG)


def test_missing_and_unknown_tensors_are_named(theirs):
    state = theirs.state_dict()
    with pytest.raises(UserError, match=r"'proj_out_2.bias' is missing"):
        from_diffusers({k: v for k, v in state.items() if k != "proj_out_2.bias"}, CONFIG)
    with pytest.raises(UserError, match=r"unexpected tensors for a DiT of this config: lora\.up"):
        from_diffusers(state | {"lora.up": torch.zeros(1)}, CONFIG)


def test_a_misshapen_tensor_is_named_with_both_shapes(ours, folder):
    state = to_diffusers(ours.state_dict(), CONFIG.depth) | {"proj_out_2.bias": torch.zeros(7)}
    save_file(state, folder / "diffusion_pytorch_model.safetensors")

    with pytest.raises(UserError, match=r"'final_layer.linear.bias' has shape \[7\], expected \[32\]"):
        load_dit(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "PixArtTransformer2DModel"}, "describes a PixArtTransformer2DModel"),
        ({"norm_type": "layer_norm"}, "norm_type 'layer_norm'"),
        ({"out_channels": 4}, "out_channels is 4, expected 8"),
    ],
)
def test_another_architecture_is_refused(folder, change, message):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))

    with pytest.raises(UserError, match=message):
        load_dit(folder)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="expected an original DiT checkpoint"):
        load_dit(tmp_path / "other.pt")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    torch.save({"ema": DiTConfig()}, tmp_path / "pickle.pt")
    with pytest.raises(UserError, match="cannot be read as plain tensors"):
        load_dit(tmp_path / "pickle.pt")


def test_unknown_heads_must_be_given(ours, tmp_path):
    torch.save(ours.state_dict(), tmp_path / "dit.pt")
    with pytest.raises(UserError, match=r"width 48 .* set num_heads"):
        load_dit(tmp_path / "dit.pt")


def test_an_empty_folder_or_a_wrong_path_is_refused(tmp_path, folder):
    with pytest.raises(UserError, match=r"config\.json: no such file"):
        load_dit(tmp_path)
    with pytest.raises(UserError, match="no such file or folder"):
        load_dit(tmp_path / "nowhere")
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(UserError, match=r"contains neither .*safetensors"):
        load_dit(folder)


@pytest.fixture(scope="module")
def xl_state() -> dict[str, torch.Tensor]:
    """Every tensor of DiT-XL/2 at its real shape; one stored value each, so that files stay small."""
    with torch.device("meta"):
        state = DiT(DiTConfig()).state_dict()
    return {name: torch.full((1,), 0.01).expand(tensor.shape) for name, tensor in state.items()}


def xl_in_diffusers_layout(xl_state, folder):
    """A transformer folder as the hub's: config.json, and the binary format with its stored position table."""
    folder.mkdir()
    config = diffusers_config(DiTConfig()) | {"_class_name": "Transformer2DModel", "norm_type": "ada_norm_zero"}
    (folder / "config.json").write_text(json.dumps(config))
    small = {name: tensor.to("meta") for name, tensor in xl_state.items()}
    state = {n: torch.full((1,), 0.01).expand(t.shape) for n, t in to_diffusers(small, 28).items()}
    return state | {"pos_embed.pos_embed": xl_state["pos_embed"]}


def test_xl_in_diffusers_layout_has_the_tensors_of_diffusers_network(xl_state, tmp_path):
    with torch.device("meta"):
        theirs = DiTTransformer2DModel(**diffusers_config(DiTConfig()))
    state = xl_in_diffusers_layout(xl_state, tmp_path / "transformer")
    del state["pos_embed.pos_embed"]

    assert {n: t.shape for n, t in theirs.state_dict().items()} == {n: t.shape for n, t in state.items()}


@pytest.mark.parametrize("layout", ["original", "diffusers"])
def test_xl_loads_whole_from_both_formats(xl_state, tmp_path, layout):
    path = tmp_path / "DiT-XL-2-256x256.pt"
    if layout == "original":
        torch.save(xl_state, path)
    else:
        path = tmp_path / "transformer"
        torch.save(xl_in_diffusers_layout(xl_state, path), path / "diffusion_pytorch_model.bin")

    assert check_dit(path) == DiTConfig()
    loaded = load_dit(path)
    assert loaded.config == DiTConfig()
    assert sum(p.numel() for p in loaded.parameters()) == 675_129_632


def test_a_check_reads_names_and_shapes_only(xl_state, tmp_path):
    """The file ends after its header and a hole: no value of it exists."""
    folder, header, end = tmp_path / "transformer", {}, 0
    state = xl_in_diffusers_layout(xl_state, folder)
    for name, tensor in state.items():
        size = tensor.numel() * 4
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    with (folder / "diffusion_pytorch_model.safetensors").open("wb") as handle:
        handle.write(len(text).to_bytes(8, "little") + text)
        handle.truncate(8 + len(text) + end)

    assert check_dit(folder) == DiTConfig()


def test_the_check_refuses_what_the_loader_refuses(ours, folder, tmp_path):
    state = to_diffusers(ours.state_dict(), CONFIG.depth)
    for change, message in (
        ({"proj_out_2.bias": torch.zeros(7)}, r"'proj_out_2.bias' has shape \[7\], expected \[32\]"),
        ({"lora.up": torch.zeros(1)}, r"unknown \['lora.up'\]"),
    ):
        save_file(state | change, folder / "diffusion_pytorch_model.safetensors")
        with pytest.raises(UserError, match=message):
            check_dit(folder)
    (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"cut short")
    with pytest.raises(UserError, match="cannot be read as safetensors"):
        check_dit(folder)
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="expected an original DiT checkpoint"):
        check_dit(tmp_path / "other.pt")
