"""The folder of unfinished work, `OUTPUT.partial`: locked while it runs, resumable, renamed when complete."""

from __future__ import annotations

import errno
import filecmp
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lastword.arguments import require_bool
from lastword.console import warn
from lastword.errors import ExistingOutputError, NothingToResumeError, RequestError
from lastword.files.locks import FileLock
from lastword.files.plain_json import json_text
from lastword.files.sources import TableFile

SETTINGS, INPUTS = "settings.json", "inputs.json"
_ADDED_TO_NAMES = len(
    ".4194304.partial.lock"
)  # the most that names of unfinished work have more than the output's
_SHOWN_CHARACTERS = 120
_WRITTEN = (
    "lastword.json", "_manifest.json", "clusters.json", "adapted.json", "probe.json", "explain.json", "scores.json",
    "strategies.json", "sweep.json", "comparison.json", "defects.json", "reproduction.json", "distilled.json",
    "parity.json", "config.json", "modules.json", "adapter_config.json",
)  # fmt: skip
"""Every folder that lastword writes has one of these files; no other folder is replaced."""
_MODEL = ("config.json", "modules.json", "adapter_config.json")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:[\\/]", re.IGNORECASE)  # as a path, which has one slash of two


@dataclass(frozen=True)
class RunFolder:
    """The folder of an unfinished run.

    Attributes:
        output: the file or folder that appears when the run is complete.
        kind: what to call the run in messages.
        resume: continue an interrupted run; its settings must be the same.
        overwrite: replace `output`, and discard an interrupted run.
        evidence: pattern of the files in the folder that show that work was done; "" for a run that cannot be
            resumed and simply starts over.
        record: name of the file with the settings.
        update: `output` may exist: the run begins with it, and replaces it when complete.
        extends: name of a file of a finished `output` with which a resumed run begins, to extend it: the run copies
            it, and replaces `output` when complete. "" for runs that cannot be extended.
    """

    output: Path
    kind: str = "run"
    resume: bool = False
    overwrite: bool = False
    evidence: str = SETTINGS
    record: str = SETTINGS
    update: bool = False
    extends: str = ""

    @property
    def partial(self) -> Path:
        """The folder."""
        output = self.output if self.output.name else self.output.absolute()
        return output.with_name(output.name + ".partial")

    @property
    def interrupted(self) -> bool:
        """Whether the folder has the work of an interrupted run, which is more than the records of its beginning."""
        if not (self.evidence and any(self.partial.glob(self.evidence))):
            return False
        beginning = (self.record, INPUTS, self.extends)
        return any(path.name not in beginning for path in self.partial.iterdir())

    @property
    def extending(self) -> bool:
        """Whether `output` is finished and this run extends it; not if unfinished work did not begin with it."""
        if not self.resume or self.overwrite or not self.extends:
            return False
        file, copy = self.output / self.extends, self.partial / self.extends
        if not file.is_file():
            return False
        return not self.interrupted or (copy.is_file() and filecmp.cmp(file, copy, shallow=False))

    def check(self, *inputs: object) -> None:
        """Refuse what cannot be started, before anything is loaded.

        Args:
            inputs: files and folders that will be read, as for `require_outside`.

        Raises:
            ExistingOutputError: `output` exists, another process writes it, or there is an interrupted run.
            NothingToResumeError: `output` exists, was to be resumed, and is not unfinished.
            RequestError: `output` cannot be written or has an input inside, or a flag is neither True nor False.
        """
        require_outside(self.output, *inputs)
        for name in ("resume", "overwrite", "update"):
            require_bool(name, getattr(self, name))
        require_writable(self.output)
        if holder := FileLock(self.partial).holder():
            raise self._busy(holder)
        self._check_existing()

    def _busy(self, holder: str) -> ExistingOutputError:
        return ExistingOutputError(
            f"{self.output} is being written by {holder}: wait until it ends or choose another path"
        )

    def _check_existing(self) -> None:
        may_exist = self.overwrite or self.update or self.extending
        if self.resume and self.output.exists() and not may_exist:
            if self.partial.exists():
                raise ExistingOutputError(
                    f"{self.output} exists, and {self.partial} has unfinished work: add overwrite=True to finish it "
                    "and replace the output, or choose another path"
                )
            raise NothingToResumeError(
                f"nothing to resume: {self.output} exists, and no {self.kind} of it was interrupted; pass "
                "overwrite=True to start over"
            )
        require_absent(self.output, may_exist)
        if self.interrupted and not (self.resume or self.overwrite):
            raise ExistingOutputError(
                f"{self.partial} has an interrupted {self.kind}: pass resume=True to continue it "
                "or overwrite=True to start over"
            )

    def require(self, settings: Mapping[str, Any], inputs: Mapping[str, str] = MappingProxyType({})) -> None:
        """Refuse to resume with other settings or inputs, naming the first that differs.

        Args:
            settings: whatever changes the result, as JSON values.
            inputs: what is read, as the message calls it → its fingerprint.

        Raises:
            RequestError: a setting or an input differs.
        """
        before = self.before()
        if before is None:
            return
        run = f"{'interrupted' if self.interrupted else 'finished'} {self.kind}"
        earlier, earlier_inputs = before
        for key, value in settings.items():
            if earlier.get(key) != value:
                raise RequestError(
                    f"resume=True: {_difference(key, earlier.get(key), value)}; use the settings of the {run}, or pass "
                    "overwrite=True to start over"
                )
        for name, value in inputs.items():
            if earlier_inputs.get(name) != value:
                change = "has changed since the" if name in earlier_inputs else "is no input of the"
                raise RequestError(
                    f"resume=True: {name} {change} {run}; restore its inputs, or pass overwrite=True to start over"
                )

    def before(self) -> tuple[dict[str, Any], dict[str, str]] | None:
        """Settings and inputs of the interrupted run that is resumed; None for a new run."""
        if not (self.resume and self.interrupted):
            return None
        paths = (self.partial / self.record, self.partial / INPUTS)
        settings, inputs = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
        return settings, inputs

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Let no other process write the output; use it in a `with`, before anything is loaded.

        Raises:
            ExistingOutputError, RequestError: as for `check`.
        """
        self.check()
        absent = [parent for parent in self.partial.absolute().parents if not parent.exists()]
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.partial)
        try:
            if not lock.try_exclusive():
                raise self._busy(lock.holder())
            if not lock.works:
                warn(f"no locks on this file system: let no other process write {self.output}")
            self._check_existing()  # again: another process may have written since
            yield
        finally:
            lock.release(remove=True)
            with suppress(OSError):  # of folders that were made for the lock, only empty ones go
                for parent in absent:
                    parent.rmdir()

    @contextmanager
    def open(
        self, settings: Mapping[str, Any], inputs: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[Path]:
        """Lock the folder, and make it empty unless a run is resumed; use it in a `with`.

        A run that fails leaves nothing if it cannot be resumed, or has done nothing.

        Args:
            settings, inputs: as for `require`; a resumed run must have the same.

        Yields:
            The folder.

        Raises:
            ExistingOutputError, RequestError: as for `check` and `require`.
        """
        with self.lock():
            self.prepare(settings, inputs)
            try:
                yield self.partial
            except BaseException:
                if not self.interrupted:
                    self.discard()
                raise

    def prepare(self, settings: Mapping[str, Any], inputs: Mapping[str, str] = MappingProxyType({})) -> None:
        """Make the locked folder, empty unless a run is resumed or extends a finished one.

        Raises:
            RequestError: as for `require`.
        """
        self.require(settings, inputs)
        if self.resume and self.interrupted:
            return
        if self.partial.is_file():
            self.partial.unlink()
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir()
        if self.extending:
            shutil.copyfile(self.output / self.extends, self.partial / self.extends)
        write_json(self.partial / INPUTS, dict(inputs))
        write_json(self.partial / self.record, dict(settings))

    def has(self, name: str) -> bool:
        """Whether a step is done, see `once`."""
        return (self.partial / f"{name}.json").exists()

    def once(self, name: str, work: Callable[[], Any]) -> Any:
        """Do a step and store its result, JSON values; a resumed run reads the result instead."""
        path = self.partial / f"{name}.json"
        if not self.has(name):
            write_json(path, work())
        return json.loads(path.read_text(encoding="utf-8"))

    def finish(self, finished: Path) -> None:
        """Move the finished file or folder, the whole run folder or a part of it, to `output`."""
        replace(finished, self.output)
        shutil.rmtree(self.partial, ignore_errors=True)

    def discard(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.partial, ignore_errors=True)


def _difference(name: str, before: Any, now: Any) -> str:
    """What differs between two values of a setting; of tables the first entry that does."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            if before.get(key) != now.get(key):
                return _difference(f"{name}, {key}", before.get(key), now.get(key))
    return f"{name} was {before!r} and is now {now!r}"


def require_outside(output: Path, *inputs: object) -> None:
    """Refuse an output that is an input or has one inside: replacing the output would delete the input.

    Args:
        output: file or folder that will be replaced.
        inputs: paths, patterns of paths, names of models, and lists of these; what is no path here is left out.

    Raises:
        RequestError: see the message.
    """
    for path, is_name in _existing(inputs):
        if output.resolve() in path.resolve().parents:
            raise RequestError(
                f"{path} is inside the output {output}, which it would replace: choose another output"
            )
        # A string may be a name of something else, such as of a column: a folder of this name then has no model.
        is_input = not is_name or path.is_file() or any((path / file).is_file() for file in _MODEL)
        if is_input and output.resolve() == path.resolve():
            raise RequestError(f"{path} is an input, and the output would replace it: choose another output")


def _existing(values: Iterable[object]) -> Iterator[tuple[Path, bool]]:
    """The files and folders that exist, and patterns of such; and whether each was given as a mere string."""
    for value in values:
        if isinstance(value, tuple | list):
            yield from _existing(value)
        elif isinstance(value, str | Path | TableFile):
            names = [str(value), *str(value).split(",")]
            for name in dict.fromkeys([*names, *(name.partition(":")[2] for name in names)]):  # as KIND:MODEL
                path = Path(name)
                with suppress(OSError, ValueError):  # a name that is too long, or no name of a file
                    if (name and path.exists()) or set("*?[") & set(name):
                        yield path, isinstance(value, str)


def require_absent(output: Path, overwrite: bool, *inputs: object) -> None:
    """Refuse to replace an output unless asked to, and one that cannot be written or has an input inside.

    Args:
        output: file or folder to write.
        overwrite: whether it may be replaced.
        inputs: as for `require_outside`.

    Raises:
        ExistingOutputError: it exists, or is a folder that lastword has not written.
        RequestError: it cannot be written, an input is inside, or `overwrite` is neither True nor False.
    """
    require_outside(output, *inputs)
    require_bool("overwrite", overwrite)
    require_writable(output)
    if output.exists() and not overwrite:
        raise ExistingOutputError(f"{output} exists: choose another path or pass overwrite=True")
    if output.is_dir() and any(output.iterdir()) and not any((output / name).is_file() for name in _WRITTEN):
        raise ExistingOutputError(
            f"{output} has files that lastword did not write, and is not replaced: choose another path, or delete it "
            "first"
        )


def require_writable(output: Path) -> None:
    """Refuse a path at which no file or folder can be made. Permissions alone do not show it, so it is tried.

    Raises:
        RequestError: a folder of the path is a file or takes no new files, a name is too long, the current folder is
            inside the output, or it is an address such as `s3://bucket/name`.
    """
    if _ADDRESS.match(str(output)):
        address = re.sub(":/(?!/)", "://", str(output), count=1)
        raise RequestError(
            f"cannot write {address}: outputs are written to a disk, where they are locked, can be resumed and appear "
            "when they are complete; choose a local path, and copy the output when it is there"
        )
    try:
        str(output).encode()
    except UnicodeEncodeError:
        raise RequestError(
            f"cannot write {output}: this name is not UTF-8, or the locale is not; choose another name, or set "
            "PYTHONUTF8=1"
        ) from None
    try:
        if Path.cwd().is_relative_to(output.resolve()):
            raise RequestError(f"cannot write {output}: the current folder is inside it; choose another path")
        missing = [output, *(parent for parent in output.absolute().parents if not parent.exists())]
        folder = missing[-1].absolute().parent
        with tempfile.TemporaryFile(dir=folder):
            longest = os.pathconf(folder, "PC_NAME_MAX") - _ADDED_TO_NAMES if os.name == "posix" else 200
        reason = ""
        for path in missing:
            if len(os.fsencode(path.name)) > longest:
                reason = f"a name in it has more than {longest} bytes"
    except OSError as error:
        reason = f"{os.strerror(error.errno or 0)}"
        if error.filename and error.errno != errno.ENAMETOOLONG:
            reason = f"{Path(error.filename).parent} takes no new files ({reason})"
    if reason:
        shown = (
            str(output) if len(str(output)) <= _SHOWN_CHARACTERS else f"{str(output)[:_SHOWN_CHARACTERS]}…"
        )
        raise RequestError(f"cannot write {shown}: {reason}; choose another path")


def fingerprint(source: str | os.PathLike[str]) -> str:
    """A hash of the content of a file, or of all files of a folder, to notice that a resumed run gets another input.

    A data set or model on the Hub is represented by its name.
    """
    path = Path(source)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return hash_of([[str(file.relative_to(path)), fingerprint(file)] for file in files])
    if not path.is_file():
        return str(source)
    with path.open("rb") as opened:
        return f"{path.stat().st_size}:{hashlib.file_digest(opened, 'sha256').hexdigest()[:16]}"


def hash_of(content: object) -> str:
    """A hash of JSON values, such as texts that were read, for the same purpose."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def write_json(path: Path, content: object) -> None:
    """Write a JSON file atomically."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json_text(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)


def replace(new: Path, target: Path) -> None:
    """Rename a finished folder or file to `target`; what was there is deleted only after that."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise
    if old.is_file():
        old.unlink()
    shutil.rmtree(old, ignore_errors=True)
