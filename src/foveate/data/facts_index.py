"""What is known of the files of a folder, so that files that have not changed since are not read again to be hashed."""

import json
import time
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from secrets import token_hex
from typing import Any

from foveate.data import image_cache
from foveate.data.image_cache import VERSION, cache_folder
from foveate.data.reading import Facts
from foveate.data.reading import stamp as stamp_of
from foveate.log import logger

SETTLED_SECONDS = 2.0
"""Files changed more recently are read again: a later change may have the same time."""

KEPT_FROM = 1000
"""Files below which nothing is kept, unless they are large."""


class FactsIndex:
    """The facts of the files in `root`, by path, size, time of change and inode."""

    def __init__(self, root: Path) -> None:
        from PIL import __version__ as pillow

        self._version = [VERSION, pillow]
        place = blake2b(str(root.resolve()).encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
        self._path = cache_folder() / f"{place}.facts"
        self._known = self._read()
        self._now: dict[str, list[Any]] = {}
        self._started = time.time_ns()

    def seen(self, path: Path) -> Facts | None:
        """The facts of the image in `path`, if it has not changed since they were kept."""
        entry = self._known.get(str(path.absolute()))
        if not isinstance(entry, list) or len(entry) != 8 or entry[:4] != stamp_of(path):
            return None
        self._now[str(path.absolute())] = entry
        return Facts(*entry[4:])

    def note(self, path: Path, facts: Facts) -> None:
        """Remember the facts of an image that has just been examined, if it was at rest."""
        stamp = stamp_of(path)
        if not facts.error and stamp and max(stamp[1:3]) < self._started - SETTLED_SECONDS * 1e9:
            self._now[str(path.absolute())] = [*stamp, facts.content, facts.channels, facts.height, facts.width]

    def save(self) -> None:
        """Keep the facts for the next time; nothing happens if they are few, or cannot be written."""
        few = len(self._now) < KEPT_FROM and sum(entry[0] for entry in self._now.values()) < image_cache.KEPT_FROM
        if few or self._now == self._known:
            return
        partial = self._path.with_name(f".{self._path.stem}.{token_hex(4)}.partial")
        try:
            partial.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_text(json.dumps({"version": self._version, "files": self._now}), "ascii")
                partial.replace(self._path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            logger.info("facts on images are not kept in %s: %s", self._path, error)

    def _read(self) -> Mapping[str, Any]:
        try:
            kept = json.loads(self._path.read_text("ascii"))
            return dict(kept["files"]) if kept["version"] == self._version else {}
        except (OSError, ValueError, KeyError, TypeError):
            return {}
