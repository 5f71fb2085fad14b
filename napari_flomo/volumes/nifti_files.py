"""The files of a NIfTI image: one, or a header and an image of one name; compressed or not."""

from __future__ import annotations

import contextlib
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from nibabel.nifti1 import Nifti1Header
from nibabel.nifti2 import Nifti2Header
from nibabel.spatialimages import HeaderDataError

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import limits
from napari_flomo.volumes.data_files import IMAGE_SUFFIXES, image_beside

GZIP_MAGIC = b"\x1f\x8b"

_SINGLE = (b"n+1", b"n+2")
_PAIR = (b"ni1", b"ni2")


def looks_like_nifti(start: bytes) -> bool:
    """Return True if a file that starts with some bytes is NIfTI or its precursor Analyze.

    A compressed file needs enough bytes for the 352 of the header.
    """
    if start.startswith(GZIP_MAGIC):
        try:
            start = zlib.decompressobj(wbits=31).decompress(start, 352)
        except zlib.error:
            return False
    sizes = [int.from_bytes(start[:4], order) for order in ("little", "big")]
    return Nifti1Header.sizeof_hdr in sizes or (
        Nifti2Header.sizeof_hdr in sizes and start[4:7] in (*_SINGLE, *_PAIR)
    )


def image_file(header: Path) -> Path:
    """Return the image file of a header; raise if it is missing."""
    found = image_beside(header)
    if found is None:
        stem = header.name.lower().removesuffix(".gz").removesuffix(".hdr")
        stem = header.name[: len(stem)]
        raise FlomoError(
            f"{header.name} is the header of a NIfTI image in two files; put {stem}.img beside it "
            f"(and call the header {stem}.hdr)."
        )
    return found


@contextlib.contextmanager
def open_stream(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Yield the uncompressed stream, and the largest possible compression ratio."""
    with limits.open_file(path) as raw:
        packed = raw.read(2) == GZIP_MAGIC
        raw.seek(0)
        try:
            if packed:
                with gzip.GzipFile(fileobj=raw) as stream:
                    yield cast(BinaryIO, stream), limits.DEFLATE_LIMIT
            else:
                yield raw, 1
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise limits.damaged(path) from error


def drain(stream: BinaryIO) -> None:
    """Read to the end, so that a compressed stream verifies its checksum.

    Bytes after the last compressed member, such as the padding of an archive, are ignored.
    """
    try:
        limits.drain(stream)
    except gzip.BadGzipFile as error:
        if not str(error).startswith("Not a gzipped file"):  # a wrong checksum or length
            raise


def read_header(stream: BinaryIO, path: Path) -> tuple[Any, bool]:
    """Return the header without nibabel's silent repairs, and whether it has its own file."""
    block = stream.read(Nifti1Header.sizeof_hdr)
    size = {int.from_bytes(block[:4], order) for order in ("little", "big")}
    kind: Any = Nifti1Header
    if Nifti2Header.sizeof_hdr in size:
        kind = Nifti2Header
        block += stream.read(Nifti2Header.sizeof_hdr - Nifti1Header.sizeof_hdr)
    elif Nifti1Header.sizeof_hdr not in size:
        if path.name.lower().endswith(IMAGE_SUFFIXES):
            raise limits.damaged(path, "its header, of the same name with .hdr, is not beside it")
        raise limits.damaged(path, "it is not a NIfTI image")
    if len(block) < kind.sizeof_hdr:
        raise limits.damaged(path)
    try:
        header = kind(block, check=False)
    except (HeaderDataError, ValueError) as error:
        raise limits.damaged(path, "its NIfTI header is invalid") from error
    magic = bytes(header["magic"])[:3]
    if magic not in (*_SINGLE, *_PAIR):
        raise FlomoError(
            f"{path.name} is an Analyze 7.5 image, which does not tell left from right; convert "
            "it to NIfTI with a program that knows how it was stored."
        )
    return header, magic in _PAIR
