"""Groups of suites: `--suite all`, a file in datasets/groups/, or names with commas; one run folder per suite.

In: what stands behind --suite. Out: the suites' runs one after the other, and one summary. A suite that cannot run keeps
its line, with the reason; the others run.
"""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import Field

from harness.core.config.base import ConfigModel, checked
from harness.core.errors import UserError
from harness.core.io import data_folder
from harness.core.suites import YAML_ENDINGS, suite_names

ALL = "all"


class Group(ConfigModel):
    """Suites that are run together. Read from datasets/groups/NAME.yaml."""

    title: str = Field(description="one line for `harness list suites`")
    suites: tuple[str, ...] = Field(min_length=1, description="suite names, in the order in which they run")


def load_groups() -> dict[str, Group]:
    """Return the groups in datasets/groups/ by name, and `all`.

    Raises:
        UserError: a group's file is wrong.
    """
    groups = {ALL: Group(title="every suite", suites=tuple(suite_names()))}
    for path in sorted((data_folder("datasets") / "groups").glob("*.yaml")):
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"group file {path}: cannot be read: {error}") from None
        groups[path.stem] = checked(Group, values, f"group file {path}")
    return groups


def members(suite: str) -> tuple[str, ...] | None:
    """Return the suites that a name stands for: a group's, or those of "a,b"; None: it is one suite, or unknown."""
    if Path(suite).suffix in YAML_ENDINGS and Path(suite).is_file():
        return None  # not: any path, for a folder may be called as a group is
    names = [part.strip() for part in suite.split(",") if part.strip()]
    groups = load_groups()
    if len(names) == 1 and names[0] not in groups:
        return None
    return tuple(dict.fromkeys(s for name in names for s in (groups[name].suites if name in groups else (name,))))
