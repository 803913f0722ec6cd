"""Ways to get files that a dataset lacks: from its publisher, or from Debian's package. Each file is checked."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from foveate.errors import FileError

CONNECT_SECONDS = 5.0
PACKAGE_SECONDS = 300.0

Check = Callable[[Path], str]
"""Gives the SHA-256 by which a fetched file is known, or raises a FileError."""


class NotFetchedError(Exception):
    """Why one way to fetch the files failed, in words that follow "failed:"."""


def from_publisher(
    folder: Path,
    files: Mapping[str, str],
    publishers: tuple[str, ...],
    checksum_of: Check,
    *,
    most: int,
    seconds: float = CONNECT_SECONDS,
) -> None:
    """Get files over HTTPS.

    Args:
        folder: where they are put, once each is known to be right.
        files: the SHA-256 of each file, by its name.
        publishers: addresses of folders, tried in turn for each file.
        checksum_of: the SHA-256 of a file that was fetched.
        most: the most bytes of a file.
        seconds: the longest silence.

    Raises:
        NotFetchedError: a file cannot be had; what was fetched before it stays.
    """
    with TemporaryDirectory(dir=folder) as temporary:
        for name, checksum in files.items():
            part = Path(temporary) / name
            reasons = []
            for address in publishers:
                try:
                    _get(f"{address}/{name}", part, most, seconds)
                    _keep(part, folder, checksum, checksum_of)
                    break
                except NotFetchedError as reason:
                    reasons.append(str(reason))
            else:
                raise NotFetchedError("; ".join(reasons))


def _get(url: str, path: Path, most: int, seconds: float) -> None:
    """Write what is behind `url` to `path`."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    count = 0
    try:
        with urlopen(url, timeout=seconds) as response, path.open("wb") as file:
            promised = response.headers.get("Content-Length")
            while count <= most and (piece := response.read(1 << 20)):
                count += file.write(piece)
    except HTTPError as error:
        error.close()
        raise NotFetchedError(f"{url} answered {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:
        raise NotFetchedError(f"{url}: {getattr(error, 'reason', None) or error}") from None
    if count > most:
        raise NotFetchedError(f"{url} is longer than {most:,} bytes")
    if promised is not None and promised != str(count):
        raise NotFetchedError(f"{url} ended after {count} of {promised} bytes")


def from_package(
    folder: Path, files: Mapping[str, str], package: str, checksum_of: Check, *, seconds: float = PACKAGE_SECONDS
) -> None:
    """Unpack a package of Debian's into `folder`; needs no administrator rights, because nothing is installed.

    Arguments are those of `from_publisher`.
    """
    with TemporaryDirectory(dir=folder) as temporary:
        place = Path(temporary)
        try:
            _run(["apt-get", "download", package], place, seconds)
        except NotFetchedError as reason:
            if not _downloaded_with_own_lists(package, place, seconds):
                raise reason from None
        packages = list(place.glob("*.deb"))
        if not packages:
            raise NotFetchedError(f"it left no {package} package")
        _run(["dpkg-deb", "-x", str(packages[0]), "."], place, seconds)
        for name, checksum in files.items():
            found = [path for path in place.rglob(f"{name.removesuffix('.gz')}*") if path.name in _either(name)]
            if not found:
                raise NotFetchedError(f"the package {package} has no {name}")
            _keep(found[0], folder, checksum, checksum_of)


def _either(name: str) -> tuple[str, str]:
    """The file's name, gzipped or not."""
    return name, name.removesuffix(".gz")


def _downloaded_with_own_lists(package: str, folder: Path, seconds: float) -> bool:
    """Try once more with package lists of our own: a fresh machine has none, and fetching the system's needs root."""
    for part in ("lists/partial", "archives/partial"):
        (folder / "apt" / part).mkdir(parents=True)
    own = ["-o", f"Dir::State::Lists={folder}/apt/lists", "-o", f"Dir::Cache={folder}/apt"]
    try:
        _run(["apt-get", *own, "update"], folder, seconds)
        _run(["apt-get", *own, "download", package], folder, seconds)
    except NotFetchedError:
        return False
    return True


def _run(command: list[str], folder: Path, seconds: float) -> None:
    # English, so the last line can stand in our sentence.
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, timeout=seconds, check=False)
    except FileNotFoundError:
        raise NotFetchedError(f"there is no {command[0]} on this computer") from None
    except subprocess.TimeoutExpired:
        raise NotFetchedError(f"{' '.join(command[:2])} took more than {seconds:g} s") from None
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"status {done.returncode}"]
        raise NotFetchedError(f"{' '.join(command[:2])}: {lines[-1]}")


def _keep(part: Path, folder: Path, checksum: str, checksum_of: Check) -> None:
    """Move a fetched file into the folder once its content is known to be right."""
    try:
        found = checksum_of(part)
    except FileError as error:
        raise NotFetchedError(str(error)) from None
    if found != checksum:
        raise NotFetchedError(f"{part.name} has the SHA-256 {found}, but {checksum} was expected")
    part.replace(folder / part.name)
