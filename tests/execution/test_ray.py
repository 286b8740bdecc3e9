"""What the Ray executor does when parts of Ray fail, without a cluster."""

from types import SimpleNamespace

from harness.execution.ray.executor import RayExecutor


class LostBoard:
    """A Ray whose board cannot be reached."""

    def get(self, reference, timeout=None):
        raise RuntimeError("ActorUnavailableError: the node of the board is gone")


def test_a_job_is_handed_out_when_nothing_runs_whatever_is_counted():
    """A cluster that is still growing says that it has less than it will."""
    assert RayExecutor(SimpleNamespace(device="cpu")).has_room(SimpleNamespace(runs_on_driver=False))


def test_a_lost_board_ends_no_run():
    executor = RayExecutor(SimpleNamespace(device="cpu"))
    executor._ray = LostBoard()
    executor._board = SimpleNamespace(snapshot=SimpleNamespace(remote=lambda: None))
    assert executor.stages() == {}
