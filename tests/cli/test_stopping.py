"""SIGTERM and SIGHUP end a command as Ctrl-C does; a second signal ends it at once; handlers are given back."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from harness.cli import stopping
from harness.cli.stopping import Stopping


@pytest.fixture(autouse=True)
def _as_in_a_terminal():
    """A shell's background job ignores SIGINT, and what nohup starts SIGHUP; so would these tests."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}


@pytest.mark.parametrize("name", CODES)
def test_each_signal_is_an_interrupt_with_its_own_exit_code(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with Stopping() as stop, pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    assert stop.exit_code == CODES[name]
    assert signal.getsignal(number) == before


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Stopping():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_another_thread_installs_nothing():
    seen = []

    def look():
        with Stopping():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]


def test_signals_that_come_together_count_as_one():
    with Stopping() as stop:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)  # launchers pass both on
    assert stop.exit_code == 130


def test_a_second_signal_ends_the_process_at_once():
    code = (
        "import os, signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from harness.cli import stopping\nstopping.SAME_S = 0.0\n"
        "with stopping.Stopping():\n    try:\n        os.kill(os.getpid(), signal.SIGTERM)\n        time.sleep(9)\n"
        "    except KeyboardInterrupt:\n        time.sleep(0.1)\n        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(9)\n        print('never')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (143, "")
    assert stopping.SAME_S > 0
