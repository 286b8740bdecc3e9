"""What stands first on a page."""

from __future__ import annotations

import importlib.metadata
from email.message import Message

import pytest

from harness.reporters.page import header

MACHINE = {
    "cpu": "AMD EPYC",
    "cpu_count": 2,
    "device_name": "AMD EPYC",
    "harness": "0.1.0",
    "git": {"commit": "ab" * 20},
}


def about(**changes):
    run = {
        "started": "2026-01-02T03:04:05+00:00",
        "ended": "2026-01-02T04:05:06+00:00",
        "environment": MACHINE,
        **changes,
    }
    return dict(header.about(run, "3 of 3 results."))


def test_suite_and_protocol_are_the_title():
    run = {"suite": {"name": "digits"}, "protocol": {"name": "idc"}}
    assert header.title([run, run]) == "digits, protocol idc"
    assert header.title([{}]) == "Run"


def test_date_duration_machine_results_and_version_are_told():
    assert about() == {
        "Date": "2 January 2026, 03:04 UTC", "Duration": "1h 01m", "Machine": "AMD EPYC, 2 logical cores",
        "Results": "3 of 3 results", "Harness": "version 0.1.0, commit ababababab",
    }  # fmt: skip


def test_a_gpu_comes_before_the_cpu_and_what_is_not_committed_is_told():
    machine = MACHINE | {"device_name": "NVIDIA H100", "git": {"commit": "ef" * 20, "dirty": True}}
    found = about(environment=machine)
    assert found["Machine"] == "NVIDIA H100; AMD EPYC, 2 logical cores"
    assert found["Harness"].endswith("commit efefefefef with uncommitted changes")


@pytest.mark.parametrize("ended", [None, "no date", "2025-01-01T00:00:00+00:00", "2026-01-03T00:00:00"])
def test_a_time_that_is_not_known_or_not_possible_is_left_out(ended):
    assert "Duration" not in about(ended=ended)


def test_a_run_that_says_nothing_has_only_its_results():
    assert header.about({}, "No result.") == [("Results", "No result")]


@pytest.fixture
def stated(tmp_path, monkeypatch):
    """Let the project state addresses."""

    def state(citation: str, *urls: str) -> list[tuple[str, str]]:
        (tmp_path / "CITATION.cff").write_text(citation)
        metadata = Message()
        for url in urls:
            metadata["Project-URL"] = url
        monkeypatch.setattr(importlib.metadata, "metadata", lambda _: metadata)
        monkeypatch.setattr(header, "data_folder", lambda _: tmp_path)
        return header.project_links()

    return state


def test_links_are_those_that_the_project_states(stated):
    assert stated("cff-version: 1.2.0") == []
    assert stated("repository-code: https://a.example/code") == [("Source", "https://a.example/code")]
    both = stated(
        "repository-code: https://a.example/code",
        "Documentation, https://a.example/docs",
        "Source, https://a.example/code",
    )
    assert both == [("Documentation", "https://a.example/docs"), ("Source", "https://a.example/code")]


def test_what_is_no_address_of_a_web_page_is_no_link(stated):
    assert stated("url: 'javascript:alert(1)'", 'Homepage, https://x" onclick="') == []
