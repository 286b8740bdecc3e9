"""The error texts on the page of a run."""

import pytest

from harness.reporters.page.failures import MOST_CHARACTERS, MOST_LOST, MOST_TEXTS, error_texts, failures, lost
from tests.helpers.made_run import make_record


@pytest.fixture
def texts(tmp_path):
    def write(*texts: str) -> list[tuple[str, str]]:
        for number, text in enumerate(texts):
            (tmp_path / f"job_{number:03d}.txt").write_text(text)
        return error_texts(tmp_path)

    return write


def test_a_text_that_many_jobs_share_is_shown_once(texts):
    assert texts("no", "no", "never", "no") == [
        ("job_000 and 2 other jobs with the same text", "no"),
        ("job_002", "never"),
    ]


def test_of_many_different_texts_the_rest_is_counted(texts):
    found = texts(*map(str, range(MOST_TEXTS + 5)))
    assert len(found) == MOST_TEXTS + 1
    assert found[-1][0] == "5 other error texts"


def test_of_a_very_long_text_the_end_stays(texts):
    ((_, text),) = texts("a" * 2 * MOST_CHARACTERS + "the reason")
    assert text.startswith("[beginning omitted; full text: errors/job_000.txt]")
    assert text.endswith("the reason")


def test_one_cause_of_several_sets_is_one_row():
    causes = {ipc: f"synthesize dit ipc {ipc} seed 0" for ipc in (10, 50)}
    (row,) = failures([make_record(ipc=i, status="failed", error="no memory", cause=c) for i, c in causes.items()])
    assert (row.error, row.ipcs, row.num_results) == ("no memory", "10, 50", 2)


def test_each_lost_attempt_is_a_row_and_of_very_many_the_rest_is_counted():
    rows = lost([{"job": "fit m", "reason": "node h left", "host": "h", "seconds": 61.0}, {"job": "t", "reason": "?"}])
    assert [(row.job, row.host, row.time) for row in rows] == [("fit m", "h", "1m 01s"), ("t", "—", "—")]
    many = lost([{"job": "t", "reason": "?"}] * (MOST_LOST + 3))
    assert (len(many), many[-1].job) == (MOST_LOST + 1, "3 other attempts")
    assert lost([]) == []
