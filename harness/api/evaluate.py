"""Score images that were made elsewhere, under any protocol, as a method of their own beside the others.

In: a folder or a file, and what a run asks for besides. Out: a run like any other. All mistakes surface before the store
is touched.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from harness.api.doubts import class_doubts, doubts_after, labels_line, own_labels_fit
from harness.api.run import execute_plan, prepare
from harness.api.run_result import Run
from harness.core.classes import read_class_list
from harness.core.errors import UserError
from harness.core.overrides import RESERVED, parse_overrides
from harness.core.plugin import discovery
from harness.core.plugin.plugin_files import PluginSource
from harness.core.suites import load_suite
from harness.data.imported.base import ImportedSet, Rows
from harness.data.imported.open import open_imported
from harness.data.imported.pixels import Pixels
from harness.planning.plan import Plan
from harness.planning.request import Names, Numbers, Paths, Settings, Sizes, make_request
from harness.planning.resolve import Resolved
from harness.reporters.runs import FLOAT_TITLE

Images = str | Path | Sequence[str | Path]
"""One folder or file, or two files: images and labels."""


PICKS = ("first", "random")


LABELS = ("protocol", "own")


@dataclass(frozen=True)
class Evaluation:
    """An evaluation that is checked and planned.

    Attributes:
        about: what was taken for what, one line each, for people; doubts begin with "warning".
        name: of the method that the images became.
    """

    resolved: Resolved
    plan: Plan
    about: tuple[str, ...]
    name: str

    def doubts(self, done: Run) -> tuple[str, ...]:
        """Return warnings after the run: a teacher that it trained disagrees, or all students are at chance."""
        return doubts_after(self.resolved, self.name, done)


def evaluate(
    images: Images,
    *,
    as_name: str,
    title: str | None = None,
    pick: Literal["first", "random"] = "first",
    class_order: str | None = None,
    normalised: str | None = None,
    keep_float: bool = False,
    labels: Literal["protocol", "own"] = "protocol",
    methods: Names | None = None,
    suite: str | Path = "digits",
    ipc: Numbers | None = None,
    bytes: Sizes | None = None,
    students: Names | None = None,
    protocol: str | Path | None = None,
    seeds: Numbers | None = None,
    distill_seeds: Numbers | None = None,
    settings: Settings | None = None,
    plugins: Paths | None = None,
    device: Literal["auto", "cpu", "cuda"] | None = None,
    executor: str | None = None,
    ray_address: str | None = None,
    workers: int | None = None,
    job_timeout: float | str | None = None,
    retries: int | None = None,
    wait_for_nodes: float | None = None,
    store: str | Path | None = None,
    data_root: str | Path | None = None,
    weights_root: str | Path | None = None,
    scores: bool | None = None,
    reference: bool | None = None,
    name: str | None = None,
    log: Names | None = None,
    fresh: bool | None = None,
    validation: float | None = None,
    validation_seed: int | None = None,
    console: Console | None = None,
) -> Run:
    """Score given images and return the run.

    Args:
        images: a folder with one subfolder per class; a file of tensors (.pt, .npz, .npy, .safetensors) in a layout that
            authors publish (docs/bring_your_own.md); or two files, images and labels.
        as_name: the method's name in records and tables: a lower-case word.
        title: its name in tables; None: `as_name`.
        pick: if there are more images than IPC: the first, or a random subset by distillation seed.
        class_order: meaning of numeric classes: "labels", "sorted", or a file with one class id per line.
        normalised: normalisation of float tensors: "cifar10", ..., "zca", "none" or MEAN/STD.
        keep_float: keep float pixels, without clipping or rounding.
        labels: "protocol": as the protocol defines them; "own": the soft labels of the set.
        methods: more methods for the same tables; none is added automatically.
        ipc: None: all images, if all classes have the same number.
        suite, ..., validation_seed: as for `harness.run`.
        console: output for progress; None: standard error.

    Raises:
        UserError: the images or the request are wrong; nothing was written.

    Examples:
        >>> import harness
        >>> done = harness.evaluate("downloads/theirs", as_name="theirs", suite="imagewoof", ipc=10)  # doctest: +SKIP
    """
    fields = {name: value for name, value in locals().items() if value is not None and name != "console"}
    console = console or Console(stderr=True)
    with evaluation(**fields) as ready:
        for line in ready.about:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        done = execute_plan(ready.resolved, ready.plan, console)
        for line in ready.doubts(done):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        return done


@contextmanager
def evaluation(
    images: Images,
    *,
    as_name: str,
    title: str | None = None,
    suite: str | Path = "digits",
    ipc: int | Sequence[int] | None = None,
    pick: str = "first",
    class_order: str | None = None,
    normalised: str | None = None,
    keep_float: bool = False,
    labels: str = "protocol",
    methods: str | Sequence[str] | None = None,
    settings: Any = None,
    distill_seeds: Any = None,
    **fields: Any,
) -> Iterator[Evaluation]:
    """Check and plan an evaluation; the arguments are those of `evaluate`. Its method exists inside the `with` only.

    Raises:
        UserError: the images or the request are wrong.
    """
    _check_words(pick, labels)
    file = load_suite(str(suite))
    classes = read_class_list(file.class_list)
    path, labels_path = _paths(images)
    pixels = Pixels(file.suite.channels, normalised, keep_float)
    found = open_imported(path, classes, labels_path=labels_path, order=class_order, pixels=pixels)
    ipcs = tuple(sorted({ipc} if isinstance(ipc, int) else set(ipc or (found.common_ipc(),))))
    own = labels == "own"
    rows = found.first(max(ipcs))
    offered = rows if pick == "first" else found.all()
    side = found.side(offered) or file.suite.side
    for each in found.sets:
        each.check(each.first(max(ipcs)) if pick == "first" else each.all(), side)
    overrides = _asked(settings, as_name, own) | {
        f"{as_name}.path": str(path.resolve()),
        f"{as_name}.labels_path": labels_path and str(labels_path.resolve()),
        f"{as_name}.fingerprint": found.fingerprint_of(max(ipcs) if pick == "first" else None, labels=own),
        f"{as_name}.side": side,
        f"{as_name}.pick": pick,
        f"{as_name}.soft_labels": own,
        f"{as_name}.class_order": _absolute(class_order),
        f"{as_name}.normalised": normalised,
        f"{as_name}.keep_float": keep_float,
    }
    if own:
        own_labels_fit(fields.get("protocol") or file.suite.protocol, overrides)
        overrides["protocol.labels"] = "stored"
    beside = (methods,) if isinstance(methods, str) else tuple(methods or ())
    with _registered(as_name, (title or as_name) + FLOAT_TITLE * keep_float):
        request = make_request(
            suite=suite,
            methods=(as_name, *beside),
            ipc=ipcs,
            settings=overrides,
            distill_seeds=_set_seeds(found, distill_seeds, pick),
            **{"reference": False, **fields},
        )
        resolved, plan = prepare(request)
        about = _about(found, offered, side, max(ipcs), pick, own)
        yield Evaluation(resolved, plan, (*about, *class_doubts(resolved, found, side)), as_name)


def _asked(settings: Any, as_name: str, own: bool) -> dict[str, Any]:
    """Return the user's overrides as "target.field" -> value, less what the options of this command say."""
    asked = parse_overrides(settings or {})
    if as_name in asked:
        raise UserError(f"--set {as_name}.{next(iter(asked[as_name]))}: imported images have no options.")
    kind = asked.get("protocol", {}).get("labels", "stored")
    if own and kind != "stored":
        raise UserError(
            f"--labels own trains with stored soft labels, but --set has protocol.labels={kind}: remove one of them."
        )
    return {f"{target}.{field}": value for target, values in asked.items() for field, value in values.items()}


def _paths(images: Images) -> tuple[Path, Path | None]:
    """Return the path of the images, and that of labels in a file of their own.

    Raises:
        UserError: there are none, or more than two.
    """
    given = [Path(images)] if isinstance(images, str | Path) else [Path(one) for one in images]
    if not 1 <= len(given) <= 2:
        raise UserError(f"{len(given)} paths were given; expected a folder, a file, or two files: images and labels.")
    return given[0], given[1] if len(given) == 2 else None


def _set_seeds(found: ImportedSet, asked: Any, pick: str) -> Any:
    """Return the distillation seeds: of several sets in a file one each; a seed is the number of its set."""
    num = len(found.sets)
    if num == 1:
        return (0,) if asked is None and pick == "first" else asked
    seeds = tuple(range(num)) if asked is None else tuple(asked)
    if beyond := [seed for seed in seeds if seed >= num]:
        raise UserError(
            f"{found.where}: it holds {num} sets (distillation seeds 0 to {num - 1}); there is no seed {beyond[0]}."
        )
    return seeds


def _check_words(pick: str, labels: str) -> None:
    for option, value, known in (("--pick", pick, PICKS), ("--labels", labels, LABELS)):
        if value not in known:
            raise UserError(f"{option} {value!r}: expected {' or '.join(known)}.")


def _absolute(class_order: str | None) -> str | None:
    return str(Path(class_order).resolve()) if class_order and Path(class_order).is_file() else class_order


def _about(found: ImportedSet, offered: Rows, side: int, ipc: int, pick: str, own: bool) -> tuple[str, ...]:
    """Return what was taken for what, one line each."""
    total = sum(found.num_per_class.values())
    how = (
        "the first in byte order"
        if pick == "first"
        else f"a seeded random subset of {sum(map(len, offered.values())):,}"
    )
    lines = [
        f"given    {found.where}: {total:,} images of {len(found.classes)} classes; {ipc} of each are used ({how}), "
        f"stored at {side} x {side} pixels",
        f"classes  {found.order}",
        *(f"note     {remark}" for remark in found.remarks),
    ]
    if own:
        lines += labels_line(found, offered)
    elif found.has_labels:
        lines.append("labels   the set has soft labels, which are not used; --labels own trains with them")
    return tuple(lines)


@contextmanager
def _registered(name: str, title: str) -> Iterator[None]:
    """Make the method `name` of given images known while the run lasts; workers get it as the source of a plugin."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in ("all", *RESERVED):
        raise UserError(
            f"--as {name!r}: expected a lower-case word of letters, digits and _, e.g. rded_release; it names rows "
            "and files. Use --title for the name in tables."
        )
    discovery.discover()
    if name in discovery.methods or name in discovery.methods.broken:
        raise UserError(f"--as {name!r} is the name of an existing method; choose another name, e.g. {name}_release.")
    # The title is a docstring, which no key depends on.
    source = (
        f"{title!r}\n\nfrom harness import register_method\nfrom harness.data.imported import ImportedImages\n\n\n"
        f"@register_method({name!r})\nclass Given(ImportedImages):\n    title = __doc__\n"
    )
    discovery.load_plugin_source(PluginSource(f"imported images {name}", (("given", source),)))
    module = discovery.methods.get(name).__module__
    try:
        yield
    finally:
        discovery.methods.forget(name)
        sys.modules.pop(module, None)
