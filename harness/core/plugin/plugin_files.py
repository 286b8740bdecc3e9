"""The source of a plugin: one file, or a folder of files that import each other; read once, run the same in every process.

In: a path, or the texts that another process read there. Out: imported modules. Workers need no copy of the files.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePosixPath
from types import ModuleType

from harness.core.errors import UserError

PREFIX = "harness_plugin_"
"""What the names of plugins' modules begin with."""

INIT = "__init__.py"

_MOST_FILES = 200


@dataclass(frozen=True)
class PluginSource:
    """The text of a plugin.

    Attributes:
        path: the file or the folder, as absolute as it can be; it is in no key.
        files: (path inside the folder, text); of a plugin of one file, that file alone under its own name.
        folder: whether it is a folder, whose files can import each other with `from .other import name`.
        own: it comes from HARNESS_PLUGINS: a file of it that cannot be imported is listed with the reason, and stops nothing.
    """

    path: str
    files: tuple[tuple[str, str], ...]
    folder: bool = False
    own: bool = False

    @property
    def module(self) -> str:
        """The name of its module, or of the package of its modules: another text has another name."""
        text = "".join(f"{name}\0{source}\0" for name, source in self.files) if self.folder else self.files[0][1]
        return PREFIX + hashlib.sha256((self.path + text).encode()).hexdigest()[:16]

    def tops(self) -> list[str]:
        """Return the modules that are imported, `__init__.py` first: files without a leading underscore that are no tests."""
        if not self.folder:
            return [self.module]
        names = [PurePosixPath(name) for name, _ in self.files]
        tops = [name.stem for name in names if len(name.parts) == 1 and not _is_beside(name.name)]
        inner = [name.parts[0] for name in names if len(name.parts) == 2 and name.name == INIT]
        inner = [name for name in inner if not name.startswith(("_", "test"))]
        return [self.module, *(f"{self.module}.{name}" for name in sorted({*tops, *inner}))]

    def filename(self, module: str) -> str:
        """Return the file of one of its modules, for messages."""
        found = _file_of(self, module)
        return str(Path(self.path) / found[0]) if self.folder and found else self.path


def _is_beside(name: str) -> bool:
    """Return whether a file of a folder is a helper, a test or a set-up, not something to import by itself."""
    return name.startswith(("_", "test_", "conftest.")) or name.endswith("_test.py") or name == "setup.py"


def read_plugin(path: str | Path, *, own: bool = False) -> PluginSource:
    """Return the text of a plugin file, or of the Python files of a folder.

    Raises:
        UserError: there is nothing, it cannot be read, or the folder has no Python file or far too many.
    """
    place = Path(path)
    try:
        if not place.is_dir():
            return PluginSource(str(place.resolve()), ((place.name, place.read_text(encoding="utf-8")),), own=own)
        found = sorted(_python_files(place))
        if len(found) > _MOST_FILES:
            raise UserError(
                f"plugin {place}: this folder has more than {_MOST_FILES} Python files. Pass the folder of the plugin "
                "itself."
            )
        files = tuple((file.relative_to(place).as_posix(), file.read_text(encoding="utf-8")) for file in found)
    except FileNotFoundError:
        raise UserError(f"plugin {place}: no such file or folder. Check the path that --plugin names.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"plugin {place}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    if not files and not own:
        raise UserError(f"plugin {place}: the folder has no Python file. `harness new method NAME` writes an example.")
    return PluginSource(str(place.resolve()), files, folder=True, own=own)


def _python_files(folder: Path) -> Iterator[Path]:
    """Yield the Python files of a folder and of the packages in it."""
    for path in folder.iterdir():
        if path.suffix == ".py" and path.is_file():
            yield path
        elif path.is_dir() and not path.is_symlink() and (path / INIT).is_file():
            yield from _python_files(path)


def import_module(plugin: PluginSource, name: str) -> ModuleType:
    """Import one module of a plugin, if it is not yet; whatever its code raises is raised."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_FINDER)
    _FINDER.plugins[plugin.module] = plugin
    return importlib.import_module(name)


def forget_modules(plugin: PluginSource) -> None:
    """Forget the modules of a plugin, so that it is imported again."""
    for name in [name for name in sys.modules if name == plugin.module or name.startswith(f"{plugin.module}.")]:
        del sys.modules[name]


def source_of(module: ModuleType) -> PluginSource | None:
    """Return the plugin that a module belongs to; None: it is no plugin's."""
    found = module.__dict__.get("__harness_plugin__")
    return found if isinstance(found, PluginSource) else None


def _file_of(plugin: PluginSource, module: str) -> tuple[str, str] | None:
    """Return (path inside the folder, text) of a module; None: the plugin has no such module."""
    if not plugin.folder:
        return plugin.files[0] if module == plugin.module else None
    place = module.removeprefix(plugin.module).lstrip(".").replace(".", "/")
    texts = dict(plugin.files)
    for name in (f"{place}.py", f"{place}/{INIT}".lstrip("/")):
        if name in texts:
            return name, texts[name]
    return (INIT, "") if not place else None


class _Finder(MetaPathFinder, Loader):
    """Imports the modules of plugins from their texts."""

    def __init__(self) -> None:
        self.plugins: dict[str, PluginSource] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        plugin = self.plugins.get(fullname.partition(".")[0])
        if plugin is None or (found := _file_of(plugin, fullname)) is None:
            return None
        package = plugin.folder and found[0].endswith(INIT)
        return importlib.util.spec_from_loader(fullname, self, origin=plugin.filename(fullname), is_package=package)

    def exec_module(self, module: ModuleType) -> None:
        plugin = self.plugins[module.__name__.partition(".")[0]]
        found = _file_of(plugin, module.__name__)
        assert found is not None
        module.__file__ = plugin.filename(module.__name__)
        module.__dict__["__harness_source__"] = found[1]
        module.__dict__["__harness_plugin__"] = plugin
        exec(compile(found[1], module.__file__, "exec"), module.__dict__)


_FINDER = _Finder()
