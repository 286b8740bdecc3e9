"""What a fit returns is saved without pickles, and a checkpoint survives a kill while it is written."""

import pytest
import torch

from harness.jobs.checkpoint import FolderCheckpoint, load_state, save_state


def test_tensors_and_plain_values_come_back_equal(tmp_path):
    state = {"a": torch.arange(3.0), "half": torch.ones(2, dtype=torch.bfloat16), "step": 3, "names": ["x", "y"]}
    save_state(tmp_path, state)
    back = load_state(tmp_path)
    assert torch.equal(back["a"], state["a"])
    assert torch.equal(back["half"], state["half"])
    assert (back["step"], back["names"]) == (3, ["x", "y"])


def test_no_state_comes_back_as_none(tmp_path):
    save_state(tmp_path, None)
    assert load_state(tmp_path) is None


def test_what_would_need_a_pickle_is_refused(tmp_path):
    with pytest.raises(ValueError, match="plain JSON"):
        save_state(tmp_path, {"f": object()})
    with pytest.raises(ValueError, match="expected a dict"):
        save_state(tmp_path, [1, 2])


def test_the_newest_checkpoint_counts_and_a_half_written_one_does_not(tmp_path):
    checkpoint = FolderCheckpoint(tmp_path / "c")
    assert checkpoint.load() is None
    checkpoint.save({"step": 1})
    checkpoint.save({"step": 2})
    (tmp_path / "c" / ".half").mkdir()
    assert FolderCheckpoint(tmp_path / "c").load() == {"step": 2}
    checkpoint.clear()
    assert not (tmp_path / "c").exists()
