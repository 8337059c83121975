"""Unpack a run's files that were packed for sending: an archive of a folder, or one compressed file."""

import bz2
import gzip
import lzma
import os
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from unstuck.analysis.errors import AnalysisError

_TARS = (".tar", ".tgz", ".tbz2", ".txz", ".tar.gz", ".tar.bz2", ".tar.xz")
_OPENERS: Mapping[str, Callable[[Path], Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_LARGEST = 2 * 2**30
"""Bytes, unpacked, up to which an archive is read."""

_MOST = 10_000
"""Files up to which an archive is read."""

_MODEL = "policy.pth"
"""Part of each model that Stable-Baselines3 saved."""

_NEITHER = (".pt", ".pth", ".onnx", ".ckpt", ".safetensors", ".mp4", ".gif", ".png")
"""Files of a run that hold neither its numbers nor its settings."""

_BROKEN = (OSError, EOFError, ValueError, RuntimeError, tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError)
"""Errors of files that are damaged, cut off, encrypted, or packed by a method that Python does not know."""


_OF_FINDER, _FORK = "__MACOSX", "._"
"""Folder and beginning of names under which a Mac keeps what its file manager notes of each file."""


def is_note_of_mac(file: Path) -> bool:
    """True if a file holds what a Mac notes of the file beside, which the Mac packs and copies too."""
    return file.name.startswith(_FORK) or _OF_FINDER in file.parts


def is_packed(file: Path) -> bool:
    """True if a file's name is that of an archive, or of a compressed file."""
    name = file.name.lower()
    return file.is_file() and (name.endswith((".zip", *_TARS)) or file.suffix.lower() in _OPENERS)


@contextmanager
def unpack(file: Path) -> Iterator[Path]:
    """Unpack an archive into a folder that is removed in the end, and give what was packed: a folder, or a file.

    Times of files are kept, as they tell whether a run goes on.

    Raises:
        AnalysisError: The archive is damaged, too large, or a saved model.
    """
    with TemporaryDirectory(prefix="unstuck-") as made:
        folder = Path(made) / "run"
        folder.mkdir()
        try:
            _unpack_into(file, folder)
        except _BROKEN as error:
            raise AnalysisError(
                f"{file} must be an archive that can be unpacked: {error}; copy it anew, or name the log itself"
            ) from None
        inside = list(folder.iterdir())
        yield inside[0] if len(inside) == 1 else folder


def _unpack_into(file: Path, folder: Path) -> None:
    name = file.name.lower()
    if name.endswith(".zip"):
        with zipfile.ZipFile(file) as archive:
            _unpack_zip(file, archive, folder)
    elif name.endswith(_TARS):
        with tarfile.open(file) as packed:
            _unpack_tar(file, packed, folder)
    else:
        target = folder / file.name[: -len(file.suffix)]
        with _OPENERS[file.suffix.lower()](file) as opened:
            _copy(opened, target, _LARGEST)
        os.utime(target, (file.stat().st_mtime, file.stat().st_mtime))


def _unpack_zip(file: Path, archive: zipfile.ZipFile, folder: Path) -> None:
    if _MODEL in archive.namelist():
        raise AnalysisError(
            f"{file} must be a log, and is a saved model; name the log, or the folder of both: the model's settings "
            "are then read beside the log"
        )
    members = [one for one in archive.infolist() if not one.is_dir() and _is_wanted(one.filename)]
    _check_size(file, [one.file_size for one in members])
    for one in members:
        target = Path(archive.extract(one, folder))
        written = time.mktime((*one.date_time, 0, 0, -1))
        os.utime(target, (written, written))


def _unpack_tar(file: Path, packed: tarfile.TarFile, folder: Path) -> None:
    members = [one for one in packed.getmembers() if one.isfile() and _is_wanted(one.name)]
    _check_size(file, [one.size for one in members])
    packed.extractall(folder, members=members, filter="data")


def _is_wanted(name: str) -> bool:
    return not name.lower().endswith(_NEITHER) and not is_note_of_mac(Path(name))


def _check_size(file: Path, sizes: list[int]) -> None:
    if len(sizes) > _MOST or sum(sizes) > _LARGEST:
        raise AnalysisError(
            f"{file} must unpack to {_MOST:,} files and {_LARGEST:,} bytes at most, got {len(sizes):,} files and "
            f"{sum(sizes):,} bytes; unpack it, and name the run's folder"
        )


def _copy(opened: BinaryIO, target: Path, most: int) -> None:
    """Copy an opened file's bytes to a file, up to a limit.

    Raises:
        ValueError: There are more.
    """
    with target.open("wb") as written:
        while block := opened.read(2**20):
            if written.tell() + len(block) > most:
                raise ValueError(f"more than {most:,} bytes")
            written.write(block)
