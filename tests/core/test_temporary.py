"""Leftovers of killed runs are removed; the folder of a job that may still be at work is not."""

import os
import subprocess
import sys
import time

import pytest

from harness.core import temporary
from harness.core.store import Store

KEY = "0123456789abcdef" * 2


def left(store, name, days=0.0):
    """Make a folder with a file, both of that age."""
    folder = store.folder / "fit" / name
    folder.mkdir(parents=True)
    (folder / "half.txt").write_text("half")
    then = time.time() - days * 24 * 3600
    for path in (folder / "half.txt", folder):
        os.utime(path, (then, then))
    return folder


@pytest.fixture
def gone():
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_folder_of_a_dead_process_goes_at_once_and_that_of_a_live_one_stays(tmp_path, gone):
    store = Store(tmp_path)
    dead = left(store, f".0123456789ab-{temporary.identity()}-{gone}-abc")
    alive = left(store, f".0123456789ab-{temporary.identity()}-{os.getpid()}-abc", days=30)
    store.sweep()
    assert (dead.exists(), alive.exists()) == (False, True)


@pytest.mark.parametrize("owner", ["@0123456789ab", "another_host"])
def test_folders_of_other_machines_and_containers_go_when_a_week_has_passed(owner, tmp_path, gone):
    """A process number of another PID namespace says nothing here."""
    store = Store(tmp_path)
    fresh = left(store, f".0123456789ab-{owner}-{gone}-abc", days=6.9)
    old = left(store, f".aaaaaaaaaaaa-{owner}-{gone}-abc", days=7.1)
    changed = left(store, f".bbbbbbbbbbbb-{owner}-{gone}-abc", days=7.1)
    (changed / "half.txt").write_text("still at work")
    saving = left(store, f".cccccccccccc-{owner}-{gone}-abc", days=7.1)
    (store.scratch("c" * 32) / "slot").mkdir(parents=True)
    store.sweep()
    assert [path.exists() for path in (fresh, old, changed, saving)] == [True, False, True, True]


def test_two_containers_of_one_host_name_do_not_share_an_identity(monkeypatch):
    real = os.stat
    temporary.identity.cache_clear()
    here = temporary.identity()

    def elsewhere(path, *args, **options):
        about = real(path, *args, **options)
        return os.stat_result((*about[:1], about.st_ino + 1, *about[2:10])) if path == "/proc/self/ns/pid" else about

    monkeypatch.setattr(temporary.os, "stat", elsewhere)
    temporary.identity.cache_clear()
    there = temporary.identity()
    monkeypatch.undo()
    temporary.identity.cache_clear()
    assert here != there
    assert here.startswith("@")
    assert "-" not in here


def test_what_was_replaced_goes_and_what_was_set_aside_stays(tmp_path):
    store = Store(tmp_path)
    replaced = left(store, temporary.replaced_name(KEY))
    aside = left(store, f".damaged-{KEY}-01234567", days=400)
    store.sweep()
    assert (replaced.exists(), aside.exists()) == (False, True)


def test_nothing_is_removed_behind_a_link(tmp_path):
    store = Store(tmp_path / "s")
    outside = tmp_path / "outside"
    outside.mkdir()
    victim = outside / temporary.replaced_name(KEY)
    victim.mkdir()
    store.folder.mkdir(parents=True)
    (store.folder / "fit").symlink_to(outside)
    store.sweep()
    assert victim.exists()
