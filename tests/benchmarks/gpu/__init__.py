"""Times the parts of a run that a GPU is for, with real sizes and random weights: no network, no data, no weights.

    python -m tests.benchmarks.gpu                                 # DiT-XL/2 sizes, on a GPU where there is one
    python -m tests.benchmarks.gpu --size tiny --out build/tiny  # seconds on a CPU: checks that all runs

`make bench` (tests/benchmarks/test_bench_*.py) compares ways of doing the same on a CPU; this measures how fast the
device is used.
"""
