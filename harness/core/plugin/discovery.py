"""Find the methods: every file in methods/, the entry points of other packages, the folders of HARNESS_PLUGINS, and what
--plugin gives.

A file that cannot be imported keeps its name, with the reason, so that `--methods all` never shrinks in silence.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.core.bibtex import parse_bibtex
from harness.core.config.base import ConfigModel, plain
from harness.core.errors import UserError
from harness.core.overrides import RESERVED
from harness.core.plugin.fingerprint import methods_package
from harness.core.plugin.method import Method
from harness.core.plugin.plugin_files import PluginSource, forget_modules, import_module, read_plugin, source_of
from harness.core.registry import Registry
from harness.core.text import shorten

methods: Registry[type[Method]] = Registry("method")


def register_method(name: str) -> Callable[[type[Method]], type[Method]]:
    """Register a `Method` under `name`, used on the command line and in tables.

    Raises:
        UserError: the class is not a `Method`, or the name is already used.
    """

    def decorate(cls: type[Method]) -> type[Method]:
        if not (inspect.isclass(cls) and issubclass(cls, Method)):
            raise UserError(f"@register_method({name!r}) decorates {cls!r}; expected a subclass of harness.Method")
        _check_declaration(name, cls)
        cls.name = name
        return methods.register(name)(cls)

    return decorate


def _check_declaration(name: str, cls: type[Method]) -> None:
    """Refuse what would break tables, file names or keys later."""
    problem = ""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name) or name in ("all", *RESERVED):
        problem = (
            "the name must be a lower-case identifier (letters, digits, _; at most 60 characters; not a reserved "
            f"word), not {shorten(repr(name), 80)}"
        )
    elif not isinstance(cls.version, int) or isinstance(cls.version, bool) or cls.version < 1:
        problem = f"`version` must be an integer of at least 1, not {cls.version!r}"
    elif isinstance(cls.needs, str) or not all(isinstance(need, str) for need in cls.needs):
        problem = f"`needs` must be a set of names, such as {{'features'}}, not {cls.needs!r}"
    elif not (isinstance(cls.title, str) and isinstance(cls.reference, str)):
        problem = "`title` and `reference` must be strings"
    elif not (inspect.isclass(cls.Config) and issubclass(cls.Config, Method.Config)):
        problem = "`Config` must be a subclass of Method.Config"
    else:
        problem = _bad_bibtex(cls) or _not_plain(cls.Config) or _invalid_default(cls.Config)
    if problem:
        raise UserError(f"method {name!r} (class {cls.__qualname__}): {problem}.")


def _bad_bibtex(cls: type[Method]) -> str:
    """Return what is wrong with the BibTeX of a method, which would break the bibliography of whoever cites it."""
    if cls.bibtex == "":
        return ""
    try:
        parse_bibtex(cls.bibtex)
    except UserError as error:
        return f"`bibtex`: {error}"
    return ""


def _not_plain(config: type[ConfigModel]) -> str:
    """Return what is wrong with the defaults of a config; a key is hashed from values, and not every value has a text."""
    for field, value in config.model_construct().model_dump(warnings=False).items():
        try:
            plain(value)
        except ValueError as error:
            return f"option {field!r} {error}"
    return ""


def _invalid_default(config: type[ConfigModel]) -> str:
    """Return what is wrong with defaults that break the config's own rules; pydantic checks given values only."""
    try:
        config.model_validate(config.model_construct().model_dump(warnings=False))
    except ValidationError as error:
        wrong = [d for d in error.errors() if d["type"] != "missing"]
        return f"the default of option {'.'.join(map(str, wrong[0]['loc']))!r}: {wrong[0]['msg']}" if wrong else ""
    return ""


@cache
def discover() -> None:
    """Import every file of the `methods` package, every entry point of the group `harness.methods`, and the folders of
    HARNESS_PLUGINS, once.

    Raises:
        UserError: HARNESS_PLUGINS names what is no folder.
    """
    package = importlib.import_module(methods_package())
    for folder in package.__path__:
        for path in sorted(Path(folder).glob("*.py")):
            if not path.stem.startswith("_"):
                _import_or_mark(path.stem, partial(importlib.import_module, f"{package.__name__}.{path.stem}"))
    for point in entry_points(group="harness.methods"):
        origin = point.dist.name if point.dist else "another package"
        _import_or_mark(point.name, point.load, f"{point.name} of {origin}")
    for own in _own_folders():
        if str(own) not in own_plugins:
            load_plugin_source(read_plugin(own, own=True))


FOLDERS = "HARNESS_PLUGINS"
"""The environment variable that names folders of one's own plugins, which every command loads."""

own_plugins: dict[str, PluginSource] = {}
"""What was loaded from HARNESS_PLUGINS, by folder: jobs on other machines get it."""


def _own_folders() -> list[Path]:
    """Return the folders of HARNESS_PLUGINS."""
    found = []
    for text in os.environ.get(FOLDERS, "").split(os.pathsep):
        if not text.strip():
            continue
        folder = Path(text).expanduser().resolve()
        if not folder.is_dir():
            raise UserError(f"{FOLDERS}: no folder {text!r}. Create it, or correct the variable.")
        found.append(folder)
    return found


def _import_or_mark(name: str, load: Callable[[], object], other_name: str = "") -> None:
    """Import a method; one that cannot be is kept as `name`, or as `other_name` where `name` is another method's."""
    known = methods.snapshot()
    try:
        load()
    except (Exception, SystemExit) as error:
        methods.restore(known)
        methods.mark_broken(other_name if name in methods else name, f"cannot be imported: {_brief(error)}")


def _brief(error: BaseException) -> str:
    """Return what is wrong with code that cannot be imported, without a full stop at its end."""
    if isinstance(error, SyntaxError):
        return f"syntax error in {error.filename}, line {error.lineno}: {error.msg}"
    text = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
    return text.removesuffix(".")


def load_plugin(path: str | Path) -> list[str]:
    """Import a plugin, a file or a folder of files, and return the names of the methods that it registers.

    It may also register students, sources and whatever else can be registered.

    Raises:
        UserError: there is no such file or folder, it cannot be imported, or it registers nothing.
    """
    return load_plugin_source(read_plugin(path))


def load_plugin_source(plugin: PluginSource) -> list[str]:
    """Run the texts of a plugin (those that the driver read, so that a worker without the files runs the same code).

    Raises:
        UserError: as `load_plugin`.
    """
    if plugin.own:
        own_plugins[plugin.path] = plugin
    if plugin.module not in sys.modules:
        before, known = Registry.registrations, methods.snapshot()
        for name in plugin.tops():
            if plugin.own:
                title = name.rpartition(".")[2] if name != plugin.module else Path(plugin.path).name
                _import_or_mark(title, partial(import_module, plugin, name), f"{title} of {plugin.path}")
                continue
            try:
                import_module(plugin, name)
            except (Exception, SystemExit) as error:
                forget_modules(plugin)
                methods.restore(known)
                where = plugin.filename(name)
                raise UserError(f"plugin {where}: {_brief(error)}. {_cure(error, plugin)}") from None
        if Registry.registrations == before and not plugin.own:
            forget_modules(plugin)
            raise UserError(
                f"plugin {plugin.path}: registers nothing. It needs a subclass of harness.Method with "
                '@register_method("name"); `harness new method NAME` writes an example.'
            )
    return sorted(n for n in methods.names() if methods.get(n).__module__.partition(".")[0] == plugin.module)


def _cure(error: BaseException, plugin: PluginSource) -> str:
    """Say what to do about a plugin that cannot be imported; a helper file beside it is the commonest case."""
    folder = Path(plugin.path) if plugin.folder else Path(plugin.path).parent
    name = (getattr(error, "name", None) or "").partition(".")[0] if isinstance(error, ImportError) else ""
    relative = isinstance(error, ImportError) and "relative import" in str(error)
    if relative or (name and ((folder / f"{name}.py").is_file() or (folder / name).is_dir())):
        how = f"write `from .{name or 'helper'} import ...`"
        if plugin.folder:
            return f"Files of a plugin folder must use relative imports: {how}. Nothing was run."
        return (
            f"A plugin is a single file. To import other files of {folder}, make the folder the plugin: {how} and "
            f"pass --plugin {folder}. Nothing was run."
        )
    if isinstance(error, ModuleNotFoundError):
        return "Install the package, or fix the import. A plugin is one file or one folder of files. Nothing was run."
    return "Fix the file; nothing was run."


def load_method(spec: dict[str, Any]) -> Method:
    """Return the method that a specification names, found the same way in every process, with the one that it wraps."""
    discover()
    cls = methods.get(spec["method"])
    method = cls(cls.Config.model_validate(spec["config"]))
    method.inner = load_method(spec["inner"]) if "inner" in spec else None
    return method


def plugin_source(cls: type[Method]) -> PluginSource | None:
    """Return the text of the plugin that a method came from; None for installed methods and those of a notebook."""
    return source_of(sys.modules[cls.__module__])
