"""Where a generator's weights are, and which classes they know."""

from __future__ import annotations

from collections.abc import Sequence

from harness.core.classes import ClassInfo, read_class_list
from harness.core.config.generator import GeneratorSpec
from harness.core.hub import cached_revision, content_hash, find, hub_id, newest_commit
from harness.core.suites import SuiteFile

PARTS = ("weights", "encoder", "decoder")
"""Fields of a `GeneratorSpec` that name a place."""


def locate(
    spec: GeneratorSpec, file: SuiteFile, data_root: str, weights_root: str | None = None, *, ask_hub: bool = False
) -> GeneratorSpec:
    """Replace every place by an absolute path, or by a hub id pinned to a revision ("owner/name@commit").

    A folder or file is preferred, then one of `spec.alternatives`, then the hub. The commit is the cached one; where
    nothing is cached, `ask_hub` asks which is the newest, so that the key of the run that downloads it is already the
    key of every later run. It stays unpinned where the hub cannot be asked.
    """
    changes = {}
    for part in PARTS:
        name = getattr(spec, part)
        if name is None:
            continue
        others = spec.alternatives if part == "weights" else ()
        paths = (find(n, file, data_root, weights_root) for n in (name, *others))
        path = next((p for p in paths if p is not None), None)
        changes[part] = str(path) if path else _pinned(name, ask_hub)
    return spec.model_copy(update=changes)


def _pinned(name: str, ask_hub: bool) -> str:
    parsed = hub_id(name)
    if parsed is None:
        return name
    repo, revision = parsed
    commit = cached_revision(repo, revision) or (newest_commit(repo, revision) if ask_hub else None) or revision
    return f"{repo}@{commit}" if commit else repo


def label_ids(spec: GeneratorSpec, file: SuiteFile) -> tuple[str, ...]:
    """Return the class ids of a generator in its own label order; empty where the suite names no list."""
    if spec.label_classes is None:
        return ()
    return tuple(c.id for c in read_class_list(file.folder / spec.label_classes))


def why_unknown(kind: str, labels: Sequence[str], classes: Sequence[ClassInfo]) -> str:
    """Return why a generator with these labels cannot draw all the classes, or "".

    A class-conditional generator draws what it was trained on and nothing else. Here: a method that needs it is skipped
    for such a suite; a class table trained anew by the fit would be another method.
    """
    absent = [c.id for c in classes if c.id not in set(labels)] if labels else []
    if not absent:
        return ""
    some = ", ".join(absent[:3]) + (", ..." if len(absent) > 3 else "")
    return f"the {kind} generator was not trained on {len(absent)} of the suite's {len(classes)} classes ({some})"


def fingerprint(spec: GeneratorSpec, labels: Sequence[str]) -> str:
    """Hash what a generator's weights are, not where."""
    return content_hash((spec.weights, spec.encoder, spec.decoder), labels)
