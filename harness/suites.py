"""Find and read suites: datasets/NAME.yaml, or any YAML file by its path.

In: a name or path. Out: a checked `Suite` and its class list. Every mistake in the file is told with its line.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from harness.config import Suite
from harness.errors import UserError, did_you_mean
from harness.files import data_folder


@dataclass(frozen=True)
class SuiteFile:
    """A suite and the folder that its relative paths start from."""

    suite: Suite
    folder: Path

    @property
    def class_list(self) -> Path:
        """Path of the class list."""
        return self.folder / self.suite.classes


def suite_names() -> list[str]:
    """Return the names of the suites in datasets/, sorted."""
    return sorted(path.stem for path in data_folder("datasets").glob("*.yaml"))


def load_suite(name_or_path: str) -> SuiteFile:
    """Read a suite by name, or by the path of a YAML file.

    Raises:
        UserError: no such suite, unreadable YAML (with line), or a field that is wrong (with line).
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        path = data_folder("datasets") / f"{name_or_path}.yaml"
        if not path.is_file():
            known = suite_names()
            raise UserError(
                f"unknown suite {name_or_path!r}.{did_you_mean(name_or_path, known)} "
                f"Known: {', '.join(known)}. A path to a YAML file works too."
            )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"suite file {path}: cannot be read: {error}") from None
    return SuiteFile(parse_suite(text, str(path)), path.parent)


def parse_suite(text: str, where: str) -> Suite:
    """Check the YAML of a suite; `where` names it in messages.

    Raises:
        UserError: with file, line and what was expected.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UserError(f"suite file {where}{line}: not valid YAML: {problem}.") from None
    if (repeated := _repeated_key(root)) is not None:
        raise UserError(
            f"suite file {where}, line {repeated[0]}: {repeated[1]!r} is given twice; the first would be lost."
        )
    if not isinstance(values, dict):
        raise UserError(f"suite file {where}, line 1: expected fields (name: ..., source: ...), found {values!r}.")
    try:
        return Suite.model_validate(values)
    except ValidationError as error:
        lines = [
            f"suite file {where}, line {_line_of(root, detail['loc'])}: {explain(Suite, detail)}"
            for detail in error.errors()
        ]
        raise UserError("\n".join(lines)) from None


def _repeated_key(node: Any) -> tuple[int, str] | None:
    """Return line and name of the first key that stands twice in one mapping; YAML itself would keep the last."""
    children = []
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                return key.start_mark.line + 1, key.value
            seen.add(key.value)
            children.append(value)
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    return next((found for child in children if (found := _repeated_key(child)) is not None), None)


def _line_of(node: Any, location: tuple[int | str, ...]) -> int:
    """Return the 1-based line of the deepest part of `location` that the YAML has."""
    line = node.start_mark.line + 1
    for step in location:
        children = node.value if isinstance(getattr(node, "value", None), list) else []
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in children if k.value == str(step)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(children):
            node = children[step]
            line = node.start_mark.line + 1
        else:
            break
    return line


def explain(model: type[BaseModel], detail: Any) -> str:
    """Say in one sentence what pydantic found wrong, with the closest known field for an unknown one."""
    name = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = list(model.model_fields)
        return f"unknown field {name!r}.{did_you_mean(str(detail['loc'][-1]), known)}"
    if detail["type"] == "missing":
        return f"field {name!r} is missing."
    message = str(detail["msg"]).removeprefix("Value error, ")
    return f"field {name!r}: {message}; found {detail['input']!r}."


def checked(model: type[BaseModel], values: dict[str, Any], where: str) -> Any:
    """Build a config model, telling mistakes as a `UserError` that begins with `where`."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError("\n".join(f"{where}: {explain(model, detail)}" for detail in error.errors())) from None
