"""Preparation of ACDC, from its original layout or from a prepared folder.

The original has a folder for each patient: ``Info.cfg``, the cine ``patient001_4d.nii.gz``, and
phases as ``patient001_frame01.nii.gz`` with labels ``patient001_frame01_gt.nii.gz``. The files are
copied unchanged, so that their hashes can be compared with the originals; a phase that exists only
in the cine is extracted from it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flomo_training.cases import CASES_FILE, case_from_row, print_notes, read_case_rows
from flomo_training.folds import FOLDS_FILE, NUMBER_OF_FOLDS, Folds, assign_folds, read_folds
from flomo_training.preparation import PreparedCase, raise_if_missing, write_prepared
from napari_flomo.errors import FlomoError
from napari_flomo.tables import read_text
from napari_flomo.volumes import Volume, align_labels, read, write

TITLE = "ACDC"
CODES = {1: "rv_ml", 2: "myo_ml", 3: "lv_ml"}
"""Columns with the volumes of the structures, by label code."""

PHASES = ("ED", "ES")
INFO = "Info.cfg"
_PATIENT = re.compile(r"patient\d+")

PUBLISHED_TEST = (2, 3, 8, 9, 12, 14, 17, 24, 42, 48, 49, 53, 55, 64, 67, 79, 81, 88, 92, 95)
"""Test patients among the 100 training patients of ACDC in the split of Zhou et al. (nnFormer, IEEE
TIP 32, 2023) and Wang et al. (MT-UNet, ICASSP 2022), which many papers use."""


@dataclass(frozen=True)
class Phase:
    """One phase of one patient in the source.

    ``row`` is its row of ``cases.csv`` without the measured columns. ``frame``, counted from 0, is
    extracted from ``image`` if that is a cine; None copies the file.
    """

    row: Mapping[str, str]
    image: Path
    labels: Path
    frame: int | None = None


def prepare_acdc(source: Path, out: Path, *, published: bool = False) -> None:
    """Prepare ACDC from its original folder.

    With ``published``, the 20 test patients of the published split are held out as the only fold;
    otherwise all patients are assigned to five folds. Raises a `FlomoError` if files are missing or
    invalid (different grids, unknown label codes, a missing phase), or ``out`` cannot be written.
    """
    if (source / CASES_FILE).is_file():
        phases = list(_prepared_phases(source))
        folds = read_folds(source) if (source / FOLDS_FILE).is_file() else None
    else:
        root = source / "training" if (source / "training").is_dir() else source
        patients = sorted(p for p in root.glob("patient[0-9]*") if p.is_dir())
        if not patients and (root / INFO).is_file():
            patients = [root]  # the folder of one patient
        if not patients:
            raise FlomoError(
                f"{source} does not look like ACDC; give the folder that contains patient001, "
                "patient002, ..., or one with cases.csv."
            )
        missing: list[str] = []
        phases = [phase for folder in patients for phase in _official(folder, missing)]
        raise_if_missing(source, missing)
        folds = None
    _check_complete(source, phases)
    if published:
        folds = published_split({phase.row["patient"] for phase in phases})
    notes: dict[str, str] = {}
    write_prepared(
        out,
        TITLE,
        len(phases),
        (_item(phase, notes) for phase in phases),
        lambda rows: folds or _stratified(rows),
    )
    print_notes(notes, len(phases))


def _official(folder: Path, missing: list[str]) -> Iterator[Phase]:
    """Yield end-diastole and end-systole of a patient; append missing files to ``missing``."""
    patient = _patient_of(folder)
    info = _read_info(folder / INFO, missing)
    for name in PHASES:
        if name not in info:
            missing.append(f"{name} in {patient}/Info.cfg")
            continue
        number = int(info[name])
        case = f"{patient}_frame{number:02d}"
        image, labels = _find_nifti(folder, case), _find_nifti(folder, f"{case}_gt")
        cine = _find_nifti(folder, f"{patient}_4d")
        if labels is None:
            missing.append(f"{case}_gt.nii.gz")
        if image is None and cine is None:
            missing.append(f"{case}.nii.gz")
        if labels is None or (image or cine) is None:
            continue
        row = {
            "case": case,
            "patient": patient,
            "phase": name,
            "group": info.get("Group", ""),
            "original_frame": str(number),
            "height_cm": info.get("Height", ""),
            "weight_kg": info.get("Weight", ""),
        }
        if image is not None:
            yield Phase(row, image, labels)
        elif cine is not None:
            yield Phase(row, cine, labels, number - 1)


def _patient_of(folder: Path) -> str:
    """Return the name of the patient of a folder from its name or its files."""
    if _PATIENT.fullmatch(folder.name):
        return folder.name
    found = {match[0] for path in folder.iterdir() if (match := _PATIENT.match(path.name))}
    if len(found) != 1:
        raise FlomoError(
            f"{folder} contains files of {len(found) or 'no'} patients; give the folder that "
            "contains patient001, patient002, ..."
        )
    return found.pop()


def _read_info(path: Path, missing: list[str]) -> dict[str, str]:
    """Read ``key: value`` lines."""
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError):
        missing.append(f"{path.parent.name}/Info.cfg")
        return {}
    info = dict(re.findall(r"^\s*(\w+)\s*:\s*(.*?)\s*$", text, re.MULTILINE))
    for name in PHASES:
        if name in info and not re.fullmatch(r"[1-9]\d*", info[name]):
            raise FlomoError(f"{path} has '{info[name]}' as the frame of {name}; fix it.")
    return info


def _find_nifti(folder: Path, stem: str) -> Path | None:
    """Return a NIfTI file, compressed or not."""
    for suffix in (".nii.gz", ".nii"):
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    return None


def _prepared_phases(source: Path) -> Iterator[Phase]:
    """Yield the cases of a folder with ``cases.csv``; its columns are kept."""
    rows = read_case_rows(source)
    cases = [case_from_row(source, row) for row in rows]
    files = [path for case in cases for path in (case.image, case.labels)]
    raise_if_missing(
        source, [str(path.relative_to(source)) for path in files if not path.is_file()]
    )
    for row, case in zip(rows, cases, strict=True):
        yield Phase(row, case.image, case.labels)


def _check_complete(source: Path, phases: Sequence[Phase]) -> None:
    """Check that every patient has both phases exactly once."""
    found: dict[str, list[str]] = {}
    for phase in phases:
        found.setdefault(phase.row["patient"], []).append(phase.row.get("phase", ""))
    raise_if_missing(
        source,
        [f"{p} of {patient}" for patient, has in found.items() for p in PHASES if p not in has],
    )
    for patient, has in found.items():
        if len(has) != len(PHASES):
            raise FlomoError(f"{source} has the phases {', '.join(has)} of {patient}; remove some.")


def _item(phase: Phase, notes: dict[str, str]) -> PreparedCase:
    """Check and measure a phase and read its files; notes on its header go into ``notes``."""
    labels = read(phase.labels)
    image = read(phase.image, fill=True)
    if phase.frame is None:
        content, suffix = phase.image.read_bytes(), _suffix(phase.image)
    else:
        if phase.frame >= image.n_frames:
            raise FlomoError(
                f"{phase.image} has {image.n_frames} frames, but Info.cfg refers to frame "
                f"{phase.frame + 1}; download the data again."
            )
        image = image.frame(phase.frame)
        content, suffix = _nifti(image), ".nii.gz"
    labels = _on_image(phase, image, labels)
    case = phase.row["case"]
    if reasons := (*image.notes, *labels.notes):
        notes[case] = reasons[0]
    step, row_step, thickness = *image.in_plane_spacing, image.geometry.spacing[2]
    voxel_ml = step * row_step * thickness / 1000
    slices, rows, columns = image.spatial_shape
    counts = {column: int((labels.data == code).sum()) for code, column in CODES.items()}
    measured = {
        "slices": str(slices),
        "rows": str(rows),
        "cols": str(columns),
        "pixel_mm": f"{image.in_plane_spacing[0]:g}",
        "thickness_mm": f"{thickness:g}",
        **{column: f"{count * voxel_ml:.2f}" for column, count in counts.items()},
    }
    row = {
        **phase.row,
        **measured,
        "image": f"images/{case}{suffix}",
        "labels": f"labels/{case}_gt{_suffix(phase.labels)}",
    }
    return PreparedCase(row, content, phase.labels.read_bytes())


def _on_image(phase: Phase, image: Volume, labels: Volume) -> Volume:
    """Return the labels in the array layout of the image, after checking both."""
    case = phase.row["case"]
    if image.axes != ("slices", "rows", "columns") or labels.axes != image.axes:
        raise FlomoError(f"{case} must be a volume without frames; download the data again.")
    try:
        labels = align_labels(labels, image)
    except FlomoError as error:
        raise FlomoError(
            f"The image and the labels of {case} have different grids: {error}"
        ) from error
    if image.data.max() == image.data.min():
        raise FlomoError(f"The image of {case} is constant; download it again.")
    codes = set(np.unique(labels.data).tolist())
    if strange := sorted(codes - {0, *CODES}):
        raise FlomoError(
            f"The labels of {case} contain the code {strange[0]:g}; ACDC has 0 background, 1 right "
            "ventricle, 2 myocardium and 3 left ventricle."
        )
    if not codes & CODES.keys():
        raise FlomoError(f"The labels of {case} are empty; download them again.")
    return labels


def _nifti(volume: Volume) -> bytes:
    """Return a volume as the bytes of a NIfTI file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.nii.gz"
        write(volume, path)
        return path.read_bytes()


def _suffix(path: Path) -> str:
    return ".nii.gz" if path.name.endswith(".gz") else ".nii"


def published_split(patients: Iterable[str]) -> Folds:
    """Return the published split: one fold of 20 test patients; all others only for training.

    Raises a `FlomoError` if a test patient is missing.
    """
    test = {f"patient{number:03d}" for number in PUBLISHED_TEST}
    if missing := sorted(test - set(patients)):
        raise FlomoError(
            f"{missing[0]} of the published test split is missing ({len(missing)} of {len(test)} "
            "are missing); give the folder of all 100 training patients of ACDC."
        )
    return Folds((tuple(sorted(test)),), training_only=tuple(sorted(set(patients) - test)))


def _stratified(rows: Sequence[Mapping[str, str]]) -> Folds:
    """Assign patients to folds, stratified by pathology."""
    strata: dict[str, list[str]] = {}
    for row in rows:
        strata.setdefault(row["patient"], []).append(row["group"])
    # A subset of the data set has at most one fold per patient.
    folds = assign_folds(strata, min(NUMBER_OF_FOLDS, len(strata)))
    return Folds(folds, unit="patient", stratified_by="group")
