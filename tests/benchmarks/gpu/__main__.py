"""`python -m tests.benchmarks.gpu`: measure, print a Markdown table, and write it with all values as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

PARTS = ("finetune", "sampling", "vae", "students")
COLUMNS = {
    "part": "part",
    "what": "what",
    "precision": "precision",
    "batch": "batch",
    "images_per_s": "images/s",
    "wall_s": "seconds a call",
    "tflops": "TFLOP/s",
    "peak_share": "of peak",
    "peak_device_mb": "device MB",
}


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code: 2 for what was asked wrongly."""
    options = _options(arguments)
    from harness.core.errors import UserError

    try:
        return run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run(options: Any) -> int:
    """Measure the parts and write `speed.md` and `speed.json` after each, so that an interrupted run keeps what it has."""
    import torch

    from harness.core import environment
    from harness.core.errors import UserError
    from tests.benchmarks.gpu import generators
    from tests.benchmarks.gpu import students as students_part
    from tests.benchmarks.gpu.sizes import SIZES
    from tests.benchmarks.gpu.timing import Peaks

    if options.device == "cuda" and not environment.has_cuda():
        raise UserError("--device cuda: no usable CUDA device here; use --device cpu.")
    device = torch.device(("cuda" if environment.has_cuda() else "cpu") if options.device == "auto" else options.device)
    if device.type == "cpu" and options.threads:
        torch.set_num_threads(options.threads)
    size, parts = SIZES[options.size], {"students": students_part.students}
    parts |= {"finetune": generators.finetune, "sampling": generators.sampling, "vae": generators.vae}
    side = size.matmul_side if device.type == "cuda" else min(size.matmul_side, 1024)
    peaks, rows = Peaks(device, side), []
    about = {**environment.environment(str(device)), "size": options.size, "num_threads": torch.get_num_threads()}
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    for part in options.parts:
        for row in parts[part](size, device, peaks, list(options.precisions), options):
            rows.append(row.plain())
            print(
                f"{row.part}: {row.what}, {row.precision}, batch {row.batch}: {row.images_per_s:.3g} images/s",
                flush=True,
            )
            found = {"environment": about, "peak_tflops": {p: v / 1e12 for p, v in peaks.per_s.items()}, "rows": rows}
            (out / "speed.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
            (out / "speed.md").write_text(markdown(found), encoding="utf-8")
    print((out / "speed.md").read_text(encoding="utf-8"))
    return 0


def markdown(found: dict[str, Any]) -> str:
    """Return the report: the device, its peaks, and a table."""
    from tabulate import tabulate

    about = found["environment"]
    table = [[_shown(name, row[name]) for name in COLUMNS] for row in found["rows"]]
    notes = "".join(f"\n- {row['what']}, batch {row['batch']}: {row['note']}" for row in found["rows"] if row["note"])
    peaks = ", ".join(f"{name} {value:.3g} TFLOP/s" for name, value in found["peak_tflops"].items())
    return (
        f"# Speed on {about['device_name']}\n\nSize {about['size']}, random weights, torch {about['packages']['torch']}, "
        f"{about['num_threads']} CPU threads. Peak of a large matrix product, measured here: {peaks}.\n\n"
        f"{tabulate(table, list(COLUMNS.values()), tablefmt='github', disable_numparse=True)}\n{notes}"
    )


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "—"
    if name == "peak_share":
        return f"{100 * value:.1f} %"
    return (
        f"{value:.3g}"
        if isinstance(value, float) and value < 1000
        else f"{value:.0f}"
        if isinstance(value, float)
        else str(value)
    )


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.gpu", description="Time real sizes with random weights."
    )
    parser.add_argument("--size", choices=["xl", "tiny"], default="xl", help="xl: DiT-XL/2 and students at 224")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--out", default="build/benchmarks", help="folder for speed.md and speed.json")
    parser.add_argument("--parts", type=_names(PARTS), default=PARTS, help=f"with commas, of {','.join(PARTS)}")
    known = ("float32", "bfloat16")
    parser.add_argument("--precisions", type=_names(known), default=known, help=f"with commas, of {','.join(known)}")
    parser.add_argument(
        "--batches", type=_numbers, help="of sampling and of the VAE, with commas; default: the size's own"
    )
    parser.add_argument("--steps", type=_number, help="denoising steps; default: the size's own")
    parser.add_argument("--calls", type=_number, default=3, help="calls timed, after a warm-up; the median counts")
    parser.add_argument("--compiled", action="store_true", help="torch.compile the denoiser")
    parser.add_argument("--threads", type=_number, help="CPU threads; default: torch's")
    return parser.parse_args(arguments)


def _number(text: str) -> int:
    if not text.strip().isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_number(part) for part in text.split(","))


def _names(known: tuple[str, ...]) -> Any:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(part.strip() for part in text.split(",") if part.strip())
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise argparse.ArgumentTypeError(f"{text!r}: expected some of {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())
