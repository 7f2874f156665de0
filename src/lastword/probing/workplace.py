"""Where a probe lies while it runs, `OUT.partial`, and what stands in the folder `OUT` at the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lastword.config import require_same_settings
from lastword.embedding import GridPoint
from lastword.embedding.folder import replace_folder
from lastword.errors import ExistingOutputError
from lastword.probing.picture import write_picture
from lastword.probing.result import Option, ProbeResult

_SETTINGS = "settings.json"


@dataclass(frozen=True)
class Workplace:
    """A folder for a result, and the parts of it that are done.

    Attributes:
        out: where the result will stand.
        resume: go on with an interrupted probe of the same settings.
        overwrite: replace `out`.
    """

    out: Path
    resume: bool = False
    overwrite: bool = False

    @property
    def partial(self) -> Path:
        """Where the parts lie until all are done."""
        return self.out.absolute().with_name(self.out.absolute().name + ".partial")

    def check(self) -> None:
        """Refuse what cannot be begun, before anything is loaded.

        Raises:
            ExistingOutputError: `out` exists, or an interrupted probe lies there.
        """
        if self.out.exists() and not self.overwrite:
            raise ExistingOutputError(f"{self.out} exists: give another place or --overwrite")
        if any(self.partial.glob("part-*.json")) and not (self.resume or self.overwrite):
            raise ExistingOutputError(
                f"{self.out}.partial holds an interrupted probe: go on with --resume or start over with --overwrite"
            )

    def open(self, settings: dict[str, Any]) -> None:
        """Make the folder, empty unless a probe is resumed.

        Raises:
            RequestError: the interrupted probe had other settings.
        """
        stored = self.partial / _SETTINGS
        if self.resume and stored.exists():
            require_same_settings(json.loads(stored.read_text(encoding="utf-8")), settings, "probe")
            return
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)
        _write(stored, settings)

    def kept(self, number: int, work: Callable[[], list[Option]]) -> list[Option]:
        """Do a part once; what it gave is read the next time."""
        path = self.partial / f"part-{number:04}.json"
        if path.exists():
            return [_option(one) for one in json.loads(path.read_text(encoding="utf-8"))]
        options = work()
        _write(path, [option.to_dict() for option in options])
        return options

    def finish(self, found: ProbeResult) -> None:
        """Write `probe.json` and `heatmap.svg`, and move them to their place at once."""
        finished = self.partial / "finished"
        shutil.rmtree(finished, ignore_errors=True)
        finished.mkdir()
        _write(finished / "probe.json", found.to_dict())
        write_picture(finished / "heatmap.svg", found)
        replace_folder(finished, self.out.absolute())
        shutil.rmtree(self.partial)


def _option(one: dict[str, Any]) -> Option:
    point = GridPoint(one["template"], one["pooling"], one["layer"])
    return Option(point, one["scores"], one["bands"])


def _write(path: Path, content: object) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    temporary.replace(path)
