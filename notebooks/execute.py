"""Execute the notebooks again and write them back with what they show: `make notebooks`.

Each runs in a folder of its own, so that its store is new and every path that it shows is relative. The tests execute
them with the same function.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

HERE = Path(__file__).parent
PARAMETERS = "parameters"
"""Tag of the cell whose names may be given other values."""


def notebooks() -> list[Path]:
    """Return the notebooks of this folder, by name."""
    return sorted(HERE.glob("*.ipynb"))


def execute(path: Path, folder: Path, *, timeout: int = 600, **parameters: Any) -> nbformat.NotebookNode:
    """Return a notebook with the outputs of an execution in FOLDER/notebooks, whose `../results` is FOLDER/results.

    Args:
        path: the notebook, which stays as it is.
        folder: where it runs and leaves its store.
        timeout: seconds for one cell.
        **parameters: values for names of the cell tagged `parameters`.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the message holds it and its traceback.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if parameters and PARAMETERS in cell.metadata.get("tags", ()):
            cell.source += "".join(f"\n{name} = {value!r}" for name, value in parameters.items())
    place = folder / "notebooks"
    place.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        config=Config({"KernelManager": {"transport_encryption": "auto"}}),  # cells travel over ports
        resources={"metadata": {"path": str(place)}},
    )
    # This checkout's code, and no start-up file of whoever runs it.
    env = {**os.environ, "PYTHONPATH": str(HERE.parent), "IPYTHONDIR": str(folder / "ipython")}
    return client.execute(env=env)


def main() -> None:
    """Execute the notebooks that are named, or all, and write them in place."""
    for path in [HERE / name for name in sys.argv[1:]] or notebooks():
        with tempfile.TemporaryDirectory() as folder:
            done = execute(path, Path(folder))
        nbformat.write(done, path)
        print(f"executed {path.name}: {path.stat().st_size / 1000:,.0f} kB")


if __name__ == "__main__":
    main()
