"""Read and write volumes in all formats."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from napari_flomo.errors import FlomoError, reason_of
from napari_flomo.files import atomic_write
from napari_flomo.volumes import limits
from napari_flomo.volumes.background import fill_background
from napari_flomo.volumes.slice_axis import arrange, in_stored_order, slice_axis_note
from napari_flomo.volumes.volume import Volume

_FAMILIES = {
    **dict.fromkeys((".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz"), "nifti"),
    **dict.fromkeys((".nrrd", ".nhdr"), "nrrd"),
    **dict.fromkeys((".mha", ".mhd"), "meta"),
    **dict.fromkeys((".dcm", ".dicom", ".ima"), "dicom"),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".tif", ".tiff"), "photo"),
}
READABLE = tuple(suffix for suffix in _FAMILIES if suffix not in (".dicom", ".ima"))
"""Endings of files that are recognised as images by their name."""
WRITABLE = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".tif", ".tiff")
"""Endings of files that can be written."""
_STORED_IN_ANY_ORDER = ("nifti", "nrrd", "meta")  # a DICOM series is stacked slice by slice

_PACKED = (".nii.gz", ".hdr.gz", ".img.gz")
_FILE_TYPE = re.compile(r"\.[a-z]{2,4}")
_SNIFFED_BYTES = 1 << 12
_COPIED_AT_ONCE = 1 << 20


def read(
    path: str | os.PathLike[str],
    *,
    series: str | int | None = None,
    slice_axis: str | None = None,
    fill: bool = False,
) -> Volume:
    """Read a medical image or a photo, in its own geometry.

    The slice axis of a file may be any of its axes and becomes the first one of the array; `write`
    restores the order of the file.

    Parameters
    ----------
    path
        NIfTI (.nii, .nii.gz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd), a folder with a DICOM
        series, a DICOMDIR, one file of a DICOM series (the others in its folder are read, too), or
        a photo (PNG, JPEG, TIFF). Without a known suffix the content decides.
    series
        Which series of a DICOM folder: its number, description or instance UID. Needed only if
        there are several.
    slice_axis
        Slice axis of a NIfTI, NRRD or MetaImage file: ``"i"``, ``"j"`` or ``"k"``, from the fastest
        to the slowest axis of the file, as in nibabel and 3D Slicer. By default it is found by
        steps and lengths.
    fill
        Whether to fill voxels without a value (NaN) outside the field of view, see
        `fill_background`: for images. By default, as for labels, they are an error.

    Returns
    -------
    Volume
        Real, finite numbers with axes (slices, rows, columns), frames in front of them for a cine,
        channels behind them for a colour photo.

    Raises
    ------
    FlomoError
        If the file is missing, unreadable, damaged, too large for memory, no image, of an
        unsupported kind, or has NaN values or an impossible geometry.
    """
    source = Path(path)

    def read_source() -> Volume:
        with _seekable(source) as file:
            return _read(file, series, slice_axis)

    return _checked(read_source, source, fill=fill)


def read_series(
    paths: Sequence[str | os.PathLike[str]],
    *,
    series: str | int | None = None,
    fill: bool = False,
) -> Volume:
    """Read one DICOM series from several files or folders.

    Parameters
    ----------
    paths
        Its files, or folders with its files; no other files are searched.
    series, fill
        As for `read`.

    Raises
    ------
    FlomoError
        As `read`.
    """
    from napari_flomo.volumes.dicom.reading import read_dicom_among

    sources = [Path(path) for path in paths]
    return _checked(lambda: read_dicom_among(sources, series), sources[0], fill=fill)


def _checked(read_source: Callable[[], Volume], source: Path, *, fill: bool) -> Volume:
    try:
        volume = read_source()
        name = source.name or str(source)
        if fill:
            volume = fill_background(volume, name)
        else:
            limits.check_finite(volume.data, name)
    except MemoryError as error:
        raise FlomoError(
            f"{source.name} does not fit into the free memory; close other programs or crop it."
        ) from error
    return volume


@contextmanager
def _seekable(source: Path) -> Iterator[Path]:
    """Yield a seekable file: the source, or a copy of a pipe."""
    try:
        is_pipe = stat.S_ISFIFO(source.stat().st_mode) or stat.S_ISSOCK(source.stat().st_mode)
    except (OSError, ValueError):  # the reader reports it
        is_pipe = False
    if not is_pipe:
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="flomo-") as folder:
        copy = Path(folder) / (source.name or "input")
        try:
            with limits.open_file(source) as stream, copy.open("wb") as target:
                shutil.copyfileobj(stream, target, _COPIED_AT_ONCE)
        except OSError as error:
            raise FlomoError(
                f"The content of the pipe {source} could not be stored: {reason_of(error)}; "
                "write it to a file first."
            ) from error
        yield copy


def _read(source: Path, series: str | int | None, slice_axis: str | None) -> Volume:
    family = "dicom" if source.is_dir() else _FAMILIES.get(suffix_of(source)) or _sniff(source)
    if family == "dicom":
        from napari_flomo.volumes.dicom.reading import read_dicom

        return read_dicom(source, series)
    if series is not None:
        raise FlomoError(
            f"{source.name} is one file, so no series can be chosen; give the folder instead."
        )
    volume = _reader(family)(source)
    if family in _STORED_IN_ANY_ORDER:
        volume = arrange(volume, slice_axis)
        if volume.storage != (0, 1, 2) and slice_axis is None:
            volume = replace(volume, notes=(*volume.notes, slice_axis_note(volume)))
    return volume if volume.source else replace(volume, source=stem_of(source))


def write(
    volume: Volume,
    path: str | os.PathLike[str],
    *,
    compress: bool = True,
    stored_order: bool = True,
) -> None:
    """Write a volume with its geometry; the suffix decides the format.

    The file is written atomically. Element types are kept, so labels stay integers.

    Parameters
    ----------
    volume
        What to write.
    path
        Ends in .nii.gz, .nii, .nrrd or .mha, or for photos and their masks in .png, .tif or .tiff.
        Its folder must exist.
    compress
        For .nrrd and .mha: whether to compress. NIfTI decides it by its suffix.
    stored_order
        Whether to write the axes in the order in which the image was stored, see `Volume.storage`.
        Without, columns are the fastest axis of the file and slices the slowest.

    Raises
    ------
    FlomoError
        If the suffix is unknown, the format cannot hold the volume, or the file cannot be written.
    """
    check_suffix(Path(path), volume)
    with atomic_write(path) as temporary:
        write_in_place(volume, temporary, compress=compress, stored_order=stored_order)


def write_in_place(
    volume: Volume, path: Path, *, compress: bool = True, stored_order: bool = True
) -> None:
    """Write a volume as `write` does, into a temporary file that the caller renames.

    Raises
    ------
    FlomoError
        If the suffix is unknown or the format cannot hold the volume.
    OSError
        If the file cannot be written.
    """
    check_suffix(path, volume)
    family = _FAMILIES[suffix_of(path)]
    if stored_order:
        volume = in_stored_order(volume)
    if family == "nifti":
        from napari_flomo.volumes.nifti import write_nifti

        write_nifti(volume, path)
    elif family == "nrrd":
        from napari_flomo.volumes.nrrd import write_nrrd

        write_nrrd(volume, path, compress=compress)
    elif family == "meta":
        from napari_flomo.volumes.meta import write_meta

        write_meta(volume, path, compress=compress)
    else:
        from napari_flomo.volumes.photo import write_photo

        write_photo(volume, path)


def check_suffix(path: str | os.PathLike[str], volume: Volume) -> None:
    """Raise `FlomoError` unless a volume can be written to a file with this suffix."""
    suffix = suffix_of(path)
    if suffix in WRITABLE:
        return
    is_photo = volume.n_frames * volume.n_slices == 1 and not volume.geometry.spacing_known
    *endings, last = (one for one in WRITABLE if is_photo or _FAMILIES[one] != "photo")
    problem = (
        f"files that end in {suffix} are not supported" if suffix else "its name has no ending"
    )
    raise FlomoError(
        f"{Path(path).name} cannot be written: {problem}; choose a name that ends in "
        f"{', '.join(endings)} or {last}."
    )


def with_ending(path: str | os.PathLike[str], ending: str) -> Path:
    """Return the path of a file to write, with an ending added to a name that has none.

    Names may contain dots: only a known format and two to four letters count as an ending, so
    ``patient.v2`` gets one and ``labels.txt`` does not.

    Parameters
    ----------
    path
        What the user typed.
    ending
        Of the format that the user chose beside it, such as ``.nrrd``.
    """
    target, suffix = Path(path), suffix_of(path)
    if suffix in _FAMILIES or _FILE_TYPE.fullmatch(suffix):
        return target
    return target.with_name(target.name.rstrip(".") + ending)


def suffix_of(path: str | os.PathLike[str]) -> str:
    """Return the suffix in lower case, such as ``.nii.gz``."""
    name = Path(path).name.lower()
    packed = (suffix for suffix in _PACKED if name.endswith(suffix))
    return next(packed, Path(name).suffix)


def stem_of(path: str | os.PathLike[str]) -> str:
    """Return the file name without folder and without the suffix of a known format."""
    name = Path(path).name
    suffix = suffix_of(name)
    return name[: -len(suffix)] if suffix in _FAMILIES and len(name) > len(suffix) else name


def _reader(family: str) -> Callable[[Path], Volume]:
    """Import only the reader that is needed; ITK takes a third of a second."""
    if family == "nifti":
        from napari_flomo.volumes.nifti import read_nifti

        return read_nifti
    if family == "nrrd":
        from napari_flomo.volumes.nrrd import read_nrrd

        return read_nrrd
    if family == "meta":
        from napari_flomo.volumes.meta import read_meta

        return read_meta
    from napari_flomo.volumes.photo import read_photo

    return read_photo


def _sniff(path: Path) -> str:
    """Return the format of a file without a known suffix, as in many DICOM exports."""
    from napari_flomo.volumes.dicom.files import INDEX, is_dicom
    from napari_flomo.volumes.nifti_files import looks_like_nifti

    if path.name.upper() == INDEX:
        return "dicom"
    with limits.open_file(path) as stream:
        start = stream.read(_SNIFFED_BYTES)
    if start.startswith(b"NRRD000"):
        return "nrrd"
    if start.startswith((b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*")):
        return "photo"
    if looks_like_nifti(start):
        return "nifti"
    if is_dicom(path):
        return "dicom"
    raise FlomoError(
        f"{path.name} is not an image that can be read; supported are a folder with a DICOM series "
        f"and {', '.join(READABLE)}."
    )
