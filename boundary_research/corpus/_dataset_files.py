"""Files of the public data sets: the user's own folder first, else the cache, else a download."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from boundary_research._checks import DataError, check_file
from boundary_research._files import hash_file
from boundary_research.corpus._dataset_cards import DatasetCard

FOLDER_VARIABLE = "BOUNDARY_RESEARCH_DATA"
_TIMEOUT = 30  # seconds without an answer


@dataclass(frozen=True)
class FoundFile:
    """A data set's file, and how it was come by."""

    path: Path
    how: str
    sha256: str


def cache_folder() -> Path:
    """Return the folder that downloads are kept in; it need not exist."""
    return Path(platformdirs.user_cache_dir("boundary-research")) / "datasets"


def data_folder_override() -> Path | None:
    """Return the folder that the environment names, if it names one.

    Raises
    ------
    DataError
        If it names something that is no folder.
    """
    named = os.environ.get(FOLDER_VARIABLE, "").strip()
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"{FOLDER_VARIABLE} is {named!r}, which is no folder. Correct it, or unset it."
        )
    return folder


def _in_folder(card: DatasetCard, folder: Path) -> Path | None:
    return next((folder / name for name in card.file_names if (folder / name).is_file()), None)


def _what_to_do(card: DatasetCard) -> str:
    names = " or ".join(map(repr, card.file_names))
    return (
        f"{card.by_hand} Save the file as {names} in a folder, and set {FOLDER_VARIABLE} to that "
        f"folder (or give the file's path)."
    )


def find_file(
    card: DatasetCard,
    path: str | Path | None = None,
    *,
    url: str | None = None,
    sha256: str | None = None,
    refresh: bool = False,
) -> FoundFile:
    """Return the data set's file.

    The first that applies: `path`; the folder that ``BOUNDARY_RESEARCH_DATA`` names, and then
    nothing else; the cache; a download through pooch, which is kept in the cache.

    Raises
    ------
    DataError
        If the file is nowhere, cannot be downloaded, or does not have the hash that was asked for.
    """
    folder = data_folder_override() if path is None else None
    if path is not None:
        file, how = check_file(path, what="Data set"), "the path given"
    elif folder is not None:
        found = _in_folder(card, folder)
        if found is None:
            raise DataError(
                f"Data set {card.name!r} is not in the folder that {FOLDER_VARIABLE} names, and "
                f"with that set nothing is downloaded. {_what_to_do(card)}"
            )
        file, how = check_file(found, what="Data set"), f"the folder {FOLDER_VARIABLE}"
    else:
        return _from_cache(card, url or card.url, sha256, refresh)
    digest = hash_file(file)
    if sha256 is not None and digest != sha256.lower():
        raise DataError(
            f"Data set {card.name!r}: {file.name!r} has the SHA-256 {digest[:16]}…, not "
            f"{sha256[:16]}… as asked for. It is another version, or was changed."
        )
    return FoundFile(file, how, digest)


def _from_cache(card: DatasetCard, url: str, sha256: str | None, refresh: bool) -> FoundFile:
    if not url:
        raise DataError(f"Data set {card.name!r} cannot be downloaded. {_what_to_do(card)}")
    # A mirror's copy must not be taken for the publisher's.
    name = card.cache_name if url == card.url else f"mirror-{card.cache_name}"
    target = cache_folder() / name
    if refresh or not target.is_file() or not target.stat().st_size:
        _download(card, url, target, sha256)
        how = f"downloaded from {url}"
    else:
        day = datetime.fromtimestamp(target.stat().st_mtime, UTC).date()
        how = f"the cache (downloaded {day.isoformat()})"
    digest = hash_file(target)
    if sha256 is not None and digest != sha256.lower():
        raise DataError(
            f"Data set {card.name!r}: the copy in the cache has the SHA-256 {digest[:16]}…, not "
            f"{sha256[:16]}… as asked for. Load it once with refresh=True, or correct the hash."
        )
    return FoundFile(target, how, digest)


@contextmanager
def _quiet_pooch() -> Iterator[None]:
    import pooch

    logger = pooch.get_logger()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _download(card: DatasetCard, url: str, target: Path, sha256: str | None) -> None:
    import pooch
    import requests

    fresh = f".new-{target.name}"  # the copy in the cache stays until the new one is whole
    try:
        with _quiet_pooch():
            (target.parent / fresh).unlink(missing_ok=True)
            pooch.retrieve(
                url,
                known_hash=None if sha256 is None else f"sha256:{sha256.lower()}",
                fname=fresh,
                path=target.parent,
                downloader=pooch.HTTPDownloader(timeout=_TIMEOUT),
            )
        if not (target.parent / fresh).stat().st_size:
            raise DataError(f"Data set {card.name!r}: {url} answered with an empty file.")
        (target.parent / fresh).replace(target)
    except requests.exceptions.HTTPError as error:
        code = error.response.status_code if error.response is not None else "an error"
        raise DataError(
            f"Data set {card.name!r}: {url} answered with {code}. {_what_to_do(card)}"
        ) from None
    except requests.exceptions.RequestException as error:
        raise DataError(
            f"Data set {card.name!r} is not on this computer, and {url} could not be reached "
            f"({type(error).__name__}). Connect and try again; or without a network: "
            f"{_what_to_do(card)}"
        ) from None
    except DataError:
        raise
    except ValueError:  # pooch: the hash differs; its message names a temporary file
        raise DataError(
            f"Data set {card.name!r}: what {url} sent does not have the SHA-256 asked for "
            f"({str(sha256)[:16]}…), and was not kept. The source has changed, or the hash is of "
            f"another version: load it without sha256, compare, and cite the hash it reports."
        ) from None
    except OSError as error:
        raise DataError(
            f"Data set {card.name!r} cannot be kept in {str(target.parent)!r} "
            f"({error.strerror}). Make room or change its permissions."
        ) from None


def why_missing(card: DatasetCard, *, network: bool = False) -> str | None:
    """Return why the data set cannot be loaded here, or None if it can."""
    try:
        folder = data_folder_override()
        if folder is None and card.url and (cache_folder() / card.cache_name).is_file():
            return None
        if folder is not None or not card.url:
            find_file(card)
            return None
    except DataError as error:
        return str(error)
    if not network:
        return (
            f"Data set {card.name!r} is not on this computer. Loading it once downloads it from "
            f"{card.url}; or without a network: {_what_to_do(card)}"
        )
    return _why_unreachable(card)


def _why_unreachable(card: DatasetCard) -> str | None:
    import requests

    try:
        answer = requests.head(card.url, timeout=_TIMEOUT, allow_redirects=True)
    except requests.exceptions.RequestException as error:
        return (
            f"Data set {card.name!r} is not on this computer, and {card.url} could not be reached "
            f"({type(error).__name__}). {_what_to_do(card)}"
        )
    # Some servers refuse HEAD (405) and still serve the file.
    if answer.status_code >= 400 and answer.status_code != 405:
        return (
            f"Data set {card.name!r}: {card.url} answered with {answer.status_code}. "
            f"{_what_to_do(card)}"
        )
    return None
