"""NIfTI images in two files, ``heart.hdr`` and ``heart.img``, compressed or not."""

from __future__ import annotations

from pathlib import Path

HEADER_SUFFIXES = (".hdr", ".hdr.gz")
IMAGE_SUFFIXES = (".img", ".img.gz")


def header_beside(image: Path) -> Path | None:
    """Return the header of an image file, or None."""
    return _partner(image, IMAGE_SUFFIXES, HEADER_SUFFIXES)


def image_beside(header: Path) -> Path | None:
    """Return the image file of a header, or None."""
    return _partner(header, HEADER_SUFFIXES, IMAGE_SUFFIXES)


def _partner(path: Path, own: tuple[str, ...], others: tuple[str, ...]) -> Path | None:
    """Return the file of the same name with another suffix, preferably compressed alike."""
    name = path.name
    for suffix in sorted(own, key=len, reverse=True):
        if not name.lower().endswith(suffix):
            continue
        stem, loud = name[: -len(suffix)], name[-len(suffix) :].isupper()
        packed = suffix.endswith(".gz")
        for other in sorted(others, key=lambda one: one.endswith(".gz") != packed):
            for spelling in (other.upper(), other) if loud else (other, other.upper()):
                if (found := path.with_name(stem + spelling)).is_file():
                    return found
        return None
    return None
