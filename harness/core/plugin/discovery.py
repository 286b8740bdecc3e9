"""Find the methods: every file in methods/, the entry points of other packages, and files given by --plugin.

A file that cannot be imported keeps its name, with the reason, so that `--methods all` never shrinks in silence.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.core.config.base import ConfigModel, plain
from harness.core.errors import UserError
from harness.core.overrides import RESERVED
from harness.core.plugin.fingerprint import methods_package
from harness.core.plugin.method import Method
from harness.core.registry import Registry
from harness.core.text import shorten

methods: Registry[type[Method]] = Registry("method")


def register_method(name: str) -> Callable[[type[Method]], type[Method]]:
    """Register a `Method` under `name`, the word on the command line and in the tables.

    Raises:
        UserError: the class is no `Method`, or the name is taken.
    """

    def decorate(cls: type[Method]) -> type[Method]:
        if not (inspect.isclass(cls) and issubclass(cls, Method)):
            raise UserError(
                f"@register_method({name!r}) stands on {cls!r}; expected a class derived from harness.Method"
            )
        _check_declaration(name, cls)
        cls.name = name
        return methods.register(name)(cls)

    return decorate


def _check_declaration(name: str, cls: type[Method]) -> None:
    """Refuse what would break tables, file names or keys later."""
    problem = ""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,59}", name) or name in ("all", *RESERVED):
        problem = f"the name must be a lower-case word of its own, of at most 60 letters, not {shorten(repr(name), 80)}"
    elif not isinstance(cls.version, int) or isinstance(cls.version, bool) or cls.version < 1:
        problem = f"`version` must be a whole number from 1, not {cls.version!r}"
    elif isinstance(cls.needs, str) or not all(isinstance(need, str) for need in cls.needs):
        problem = f"`needs` must be a set of names, such as {{'features'}}, not {cls.needs!r}"
    elif not (isinstance(cls.title, str) and isinstance(cls.reference, str)):
        problem = "`title` and `reference` must be texts"
    elif not (inspect.isclass(cls.Config) and issubclass(cls.Config, ConfigModel)):
        problem = "`Config` must be derived from Method.Config"
    else:
        problem = _not_plain(cls.Config) or _invalid_default(cls.Config)
    if problem:
        raise UserError(f"method {name!r} (class {cls.__qualname__}): {problem}.")


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
    """Import every file of the `methods` package and every entry point of the group `harness.methods`, once."""
    package = importlib.import_module(methods_package())
    for folder in package.__path__:
        for path in sorted(Path(folder).glob("*.py")):
            if not path.stem.startswith("_"):
                _import_or_mark(path.stem, partial(importlib.import_module, f"{package.__name__}.{path.stem}"))
    for point in entry_points(group="harness.methods"):
        origin = point.dist.name if point.dist else "another package"
        _import_or_mark(point.name, point.load, f"{point.name} of {origin}")


def _import_or_mark(name: str, load: Callable[[], object], other_name: str = "") -> None:
    """Import a method; one that cannot be is kept as `name`, or as `other_name` where `name` is another method's."""
    known = methods.snapshot()
    try:
        load()
    except (Exception, SystemExit) as error:
        methods.restore(known)
        methods.mark_broken(other_name if name in methods else name, f"cannot be imported: {_brief(error)}")


def _brief(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"syntax error in {error.filename}, line {error.lineno}: {error.msg}"
    return f"{type(error).__name__}: {error}"


def load_plugin(path: str | Path) -> list[str]:
    """Import a plugin file and return the names of the methods that it registers (it may register students or sources).

    Raises:
        UserError: the file is missing, cannot be imported, or registers nothing.
    """
    file = Path(path)
    try:
        source = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"plugin {file}: cannot be read: {error}") from None
    return load_plugin_source(str(file.resolve()), source)


def load_plugin_source(filename: str, source: str) -> list[str]:
    """Run a plugin's source (the driver's text, so that a worker without the file runs the same code)."""
    name = f"harness_plugin_{hashlib.sha256((filename + source).encode()).hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_loader(name, loader=None, origin=filename)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        module.__file__ = filename
        module.__dict__["__harness_source__"] = source
        sys.modules[name] = module
        before, known = Registry.registrations, methods.snapshot()
        try:
            exec(compile(source, filename, "exec"), module.__dict__)
        except (Exception, SystemExit) as error:
            del sys.modules[name]
            methods.restore(known)
            raise UserError(f"plugin {filename}: {_brief(error)}. Correct the file; nothing was run.") from None
        if Registry.registrations == before:
            del sys.modules[name]
            raise UserError(
                f"plugin {filename}: registers nothing. It needs a class derived from harness.Method under "
                '@register_method("name"); `harness new method NAME` writes an example.'
            )
    return sorted(n for n in methods.names() if methods.get(n).__module__ == name)


def load_method(spec: dict[str, Any]) -> Method:
    """Return the method that a specification names, found the same way in every process, with the one that it wraps."""
    discover()
    cls = methods.get(spec["method"])
    method = cls(cls.Config.model_validate(spec["config"]))
    method.inner = load_method(spec["inner"]) if "inner" in spec else None
    return method


def plugin_source(cls: type[Method]) -> tuple[str, str] | None:
    """Return (file name, source text) of the plugin that a method came from; None for installed methods."""
    module = sys.modules[cls.__module__]
    source = module.__dict__.get("__harness_source__")
    return (str(module.__file__), source) if source else None
