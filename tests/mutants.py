"""Try deliberate mistakes, one at a time, and print which tests notice them: `make mutants`, not part of CI.

Each mutation of `mutations` is made in a scratch copy of the project, where the tests that it names are run. One that
no test notices survives: then a wrong program passes our tests. Exit code 0: all were noticed; 1: some survived; 2: a
mutation cannot be tried, because its text is not there exactly once, or because its tests fail without it too.

    python tests/mutants.py                      # all of them, some minutes
    python tests/mutants.py --only rded          # those with "rded" in their name, file or tests
    python tests/mutants.py --list
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from queue import SimpleQueue

from tests.mutations import MUTATIONS
from tests.mutations.kind import Mutation

ROOT = Path(__file__).parents[1]
TIME_LIMIT_S = 600
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "results", "runs", "notebooks", "build", "dist")
KILLED, SURVIVED, BROKEN = "killed", "SURVIVED", "BROKEN"


@dataclass(frozen=True)
class Verdict:
    """What became of one mutation: the test that failed, or why it could not be tried; time in seconds."""

    mutation: Mutation
    outcome: str
    seconds: float
    told: str


def mutated(text: str, mutation: Mutation) -> str:
    """Return the file's text with the mistake in it.

    Raises:
        ValueError: the old text is not there exactly once, or the new one is no Python.
    """
    found = text.count(mutation.old)
    if found != 1:
        raise ValueError(f"{mutation.name!r}: its text stands {found} times in {mutation.file}, expected once")
    changed = text.replace(mutation.old, mutation.new)
    if mutation.file.endswith(".py"):
        compile(changed, mutation.file, "exec")
    return changed


def pytest(copy: Path, tests: Sequence[str]) -> tuple[int, str]:
    """Run tests of a copy, up to the first failure; return pytest's exit code and what it printed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *tests]
    env = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=copy, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIME_LIMIT_S
    )
    return done.returncode, done.stdout


def judge(copy: Path, mutation: Mutation) -> Verdict:
    """Try one mutation in a copy, and leave the copy as it was."""
    path, start = copy / mutation.file, time.monotonic()
    original = path.read_text(encoding="utf-8")
    try:
        path.write_text(mutated(original, mutation), encoding="utf-8")
        code, output = pytest(copy, mutation.tests.split())
    except subprocess.TimeoutExpired:
        return Verdict(mutation, KILLED, time.monotonic() - start, f"no end within {TIME_LIMIT_S} s")
    except (ValueError, SyntaxError) as error:
        return Verdict(mutation, BROKEN, time.monotonic() - start, str(error))
    finally:
        path.write_text(original, encoding="utf-8")
    took = time.monotonic() - start
    failed = re.search(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", output, re.MULTILINE)
    if code == 1 and failed:
        return Verdict(mutation, KILLED, took, failed[1])
    if code == 0:
        return Verdict(mutation, SURVIVED, took, mutation.tests)
    return Verdict(mutation, BROKEN, took, (output.strip() or f"pytest's exit code {code}").splitlines()[-1])


def verdicts(root: Path, chosen: Sequence[Mutation], jobs: int) -> Iterator[Verdict]:
    """Try mutations in scratch copies of `root`, `jobs` at a time; last, the tests that failed without any mistake."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        free: SimpleQueue[Path] = SimpleQueue()
        for number in range(jobs):
            copy = Path(shutil.copytree(root, Path(folder) / str(number), ignore=NOT_COPIED))
            # Once: what a mistake does not change is not compiled for each. By content: times have too coarse a grain.
            compileall.compile_dir(copy, quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
            free.put(copy)

        def in_a_copy(mutation: Mutation) -> Verdict:
            copy = free.get()
            try:
                return judge(copy, mutation)
            finally:
                free.put(copy)

        killers = {}
        for verdict in pool.map(in_a_copy, chosen):
            if verdict.outcome == KILLED and "::" in verdict.told:
                killers[verdict.told] = verdict.mutation
            yield verdict
        if killers:
            start = time.monotonic()
            code, output = pytest(free.get(), list(killers))
            if code:
                why = f"its test fails without the mistake too: {output.strip().splitlines()[-2]}"
                yield Verdict(next(iter(killers.values())), BROKEN, time.monotonic() - start, why)


def main(arguments: Sequence[str], root: Path = ROOT, mutations: Sequence[Mutation] = MUTATIONS) -> int:
    """Run the command line and return its exit code."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--only", metavar="TEXT", default="", help="mutations with TEXT in their name, file or tests")
    parser.add_argument("--list", action="store_true", help="name the mutations and run nothing")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    options = parser.parse_args(arguments)
    chosen = [m for m in mutations if options.only.lower() in " ".join((m.name, m.file, m.tests)).lower()]
    if not chosen:
        print(f"no mutation has {options.only!r} in its name, file or tests; --list names them all")
        return 2
    if options.list:
        for m in chosen:
            print(f"{m.name:<60}  {m.file:<36}  {m.tests}")
        return 0
    start, found = time.monotonic(), []
    for verdict in verdicts(root, chosen, max(1, options.jobs)):
        found.append(verdict.outcome)
        print(
            f"{verdict.outcome:<8}  {verdict.seconds:5.1f} s  {verdict.mutation.name:<58}  {verdict.told}", flush=True
        )
    counts = {outcome: found.count(outcome) for outcome in (KILLED, SURVIVED, BROKEN)}
    print(", ".join(f"{n} {outcome}" for outcome, n in counts.items()), f"in {time.monotonic() - start:.0f} s")
    return 2 if counts[BROKEN] else 1 if counts[SURVIVED] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
