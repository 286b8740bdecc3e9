"""A row says how often its jobs were tried, for what, and the time that was lost and that no checkpoint kept."""

from harness.execution.attempts import attempt_fields
from harness.execution.view import Loss
from harness.planning.plan import Row

ROW = Row("m", 1, "s", 0, 0, "train", synthesize="set", fits=("fit0", "fit1"), label="label")


def fields(losses, given_up=(), resumed=None):
    return attempt_fields(ROW, losses, given_up, lambda key: (resumed or {}).get(key, 0.0))


def test_an_undisturbed_row_has_one_attempt():
    assert fields({"another": [Loss("x", "h", 9)]}) == {
        "attempts": 1, "lost_to": "", "lost_s": 0.0, "distill_lost_s": 0.0,
    }  # fmt: skip


def test_the_losses_of_all_its_jobs_count_and_what_a_checkpoint_kept_is_not_lost():
    losses = {"fit1": [Loss("node h left", "h", 10), Loss("node h left", "h", 20)], "train": [Loss("killed", "h", 4)]}
    assert fields(losses, resumed={"fit1": 25}) == {
        "attempts": 4, "lost_to": "node h left; killed", "lost_s": 9.0, "distill_lost_s": 5.0,
    }  # fmt: skip
    assert fields(losses, resumed={"fit1": 99})["distill_lost_s"] == 0, "an earlier run left a checkpoint"


def test_a_job_that_was_given_up_had_no_attempt_after_its_last_loss():
    assert fields({"train": [Loss("killed", "h", 4)] * 3}, given_up={"train"})["attempts"] == 3
