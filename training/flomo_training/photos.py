"""Preparation of photo data sets: CVC-ClinicDB, BUSI and Montgomery.

Each is read in its original layout, or from ``images/`` and ``masks/`` with the same names.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flomo_training.duplicates import cluster_near_duplicates, hamming_distances, perceptual_hash
from flomo_training.folds import Folds, assign_folds, split_into_blocks
from flomo_training.preparation import PreparedCase, raise_if_missing, write_prepared
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import read

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")


@dataclass(frozen=True)
class Picture:
    """A photo and its mask files, whose union is the mask."""

    name: str
    image: Path
    masks: tuple[Path, ...]


@dataclass(frozen=True)
class Collection:
    """Properties of a data set.

    ``near_duplicate_bits`` is a threshold between duplicates and similar pictures, read from the
    histogram of their distances. ``group`` returns the kind of a picture from its name, by which
    folds are stratified; masks of a kind may be ``empty``. ``find`` finds the pictures in the
    original layout.
    """

    title: str
    grey: bool
    near_duplicate_bits: int
    unit: str
    group: Callable[[str], str]
    empty: Callable[[str], bool]
    find: Callable[[Path], list[Picture]]


def prepare_photos(name: str, source: Path, out: Path) -> None:
    """Prepare a data set of `COLLECTIONS` from its original folder.

    Raises a `FlomoError` if files are missing or invalid, or ``out`` cannot be written.
    """
    collection = COLLECTIONS[name]
    pictures = _plain(source) or collection.find(source)
    if not pictures:
        raise FlomoError(
            f"{source} does not look like {collection.title}; give the original folder, or one "
            "with images/ and masks/."
        )
    pictures.sort(key=lambda picture: picture.name)
    raise_if_missing(source, [f"a mask of {p.image.name}" for p in pictures if not p.masks])
    hashes: dict[str, str] = {}
    write_prepared(
        out,
        collection.title,
        len(pictures),
        (_item(picture, collection, hashes) for picture in pictures),
        lambda rows: _fold(rows, collection, hashes),
    )


def _item(picture: Picture, collection: Collection, hashes: dict[str, str]) -> PreparedCase:
    """Read, check and encode a picture; add its perceptual hash to ``hashes``."""
    name, kind = picture.name, collection.group(picture.name)
    pixels, content, suffix = _image(picture.image, grey=collection.grey)
    mask = np.zeros(pixels.shape[:2], bool)
    for path in picture.masks:
        part = _mask(path)
        if part.shape != mask.shape:
            raise FlomoError(
                f"{path} and {picture.image.name} have different sizes; download both again."
            )
        mask |= part
    if mask.any() == collection.empty(kind):
        wrong = "is not empty" if mask.any() else "is empty"
        raise FlomoError(f"The mask of {picture.image} {wrong}; download it again.")
    hashes[name] = perceptual_hash(pixels)
    row = {
        "case": name,
        "patient": "",  # set by _fold
        "phase": "",
        "group": kind,
        "image": f"images/{name}{suffix}",
        "labels": f"labels/{name}.png",
        "rows": str(len(mask)),
        "cols": str(mask.size // len(mask)),
        "mask_pixels": str(int(mask.sum())),
    }
    return PreparedCase(row, content, _png(mask.astype(np.uint8)))


def _fold(
    rows: Sequence[dict[str, str]], collection: Collection, hashes: Mapping[str, str]
) -> Folds:
    """Group the cases, write the groups into the rows, and assign them to folds."""
    names = [row["case"] for row in rows]
    values = [hashes[name] for name in names]
    if collection.unit == "block":
        blocks = split_into_blocks(hamming_distances(values, values))
        groups = [f"block{block + 1}" for block in blocks]
        folds: tuple[tuple[str, ...], ...] = tuple((group,) for group in sorted(set(groups)))
    else:
        groups = [
            names[first]
            for first in cluster_near_duplicates(values, collection.near_duplicate_bits)
        ]
        strata: dict[str, list[str]] = {}
        for group, row in zip(groups, rows, strict=True):
            strata.setdefault(group, []).append(row["group"])
        folds = assign_folds(strata)
    for row, group in zip(rows, groups, strict=True):
        row["patient"] = group
    return Folds(
        folds,
        collection.unit,
        "" if collection.unit == "block" else "group",
        collection.near_duplicate_bits,
        dict(zip(names, values, strict=True)),
    )


def _image(path: Path, *, grey: bool) -> tuple[NDArray[np.uint8], bytes, str]:
    """Return pixels, file content and suffix of a picture, converted only if necessary."""
    volume = read(path)
    if volume.n_slices != 1 or volume.data.dtype != np.uint8:
        raise FlomoError(f"{path} is not a single 8-bit picture; download it again.")
    pixels = volume.data[0]
    plain = pixels.ndim == (2 if grey else 3) and pixels.shape[-1] != 4
    if plain:
        return pixels, path.read_bytes(), path.suffix.lower()
    picture = Image.fromarray(pixels).convert("L" if grey else "RGB")
    changed = np.asarray(picture)
    return changed, _png(changed), ".png"


def _mask(path: Path) -> NDArray[np.bool_]:
    """Return a mask; in a colour copy, a pixel is set if any channel is bright."""
    data = read(path).data[0]
    if data.ndim == 3:
        data = data[..., :3].max(-1)
    top = int(data.max())
    marked: NDArray[np.bool_] = data > top / 2
    if top and np.mean((data > 0.1 * top) & (data < 0.9 * top)) > 0.01:
        raise FlomoError(f"{path} has grey values and is not a mask; download it again.")
    return marked


def _png(pixels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _in(folder: Path) -> dict[str, Path]:
    """Return the pictures of a folder by name without suffix."""
    if not folder.is_dir():
        return {}
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in SUFFIXES}


def _plain(source: Path) -> list[Picture]:
    """Return pictures in ``images/`` with masks of the same names in ``masks/``."""
    return _with_masks(_in(source / "images"), _in(source / "masks"))


def _with_masks(images: Mapping[str, Path], *sides: Mapping[str, Path]) -> list[Picture]:
    """Return pictures with a mask of each side; without any if one is missing."""
    return [
        Picture(name, image, tuple(m[name] for m in sides) if all(name in m for m in sides) else ())
        for name, image in images.items()
    ]


def _find_clinicdb(source: Path) -> list[Picture]:
    """Find ``Original/17.tif`` with ``Ground Truth/17.tif``, also within ``PNG/`` or ``TIF/``."""
    for root in (source, *(source / name for name in ("PNG", "TIF", "CVC-ClinicDB"))):
        if images := _in(root / "Original"):
            found = _with_masks(images, _in(root / "Ground Truth"))
            return [replace(picture, name=picture.name.zfill(3)) for picture in found]
    return []


def _find_busi(source: Path) -> list[Picture]:
    """Find ``benign/benign (3).png`` with ``benign (3)_mask.png``, ``..._mask_1.png``, ..."""
    result = []
    for root in (source, source / "Dataset_BUSI_with_GT"):
        for kind in ("benign", "malignant", "normal"):
            files = _in(root / kind)
            for stem, image in files.items():
                if match := re.fullmatch(rf"{kind} \((\d+)\)", stem):
                    masks = tuple(p for s, p in files.items() if s.startswith(f"{stem}_mask"))
                    result.append(Picture(f"{kind}_{match[1]}", image, masks))
    return result


def _find_montgomery(source: Path) -> list[Picture]:
    """Find ``CXR_png`` with a mask of each lung in ``ManualMask/leftMask`` and ``rightMask``."""
    for root in (source, source / "MontgomerySet"):
        if images := _in(root / "CXR_png"):
            masks = root / "ManualMask"
            return _with_masks(images, _in(masks / "leftMask"), _in(masks / "rightMask"))
    return []


def _never(_kind: str) -> bool:
    return False


COLLECTIONS: Mapping[str, Collection] = {
    "cvc_clinicdb": Collection(
        "CVC-ClinicDB", False, 24, "block", lambda _name: "polyp", _never, _find_clinicdb
    ),
    "busi": Collection(
        "BUSI",
        True,
        64,
        "cluster of near duplicates",
        lambda name: name.partition("_")[0],
        lambda kind: kind == "normal",
        _find_busi,
    ),
    "montgomery": Collection(
        "Montgomery County X-ray Set",
        True,
        24,
        "file",
        lambda name: "tuberculosis" if name.endswith("_1") else "normal",
        _never,
        _find_montgomery,
    ),
}
