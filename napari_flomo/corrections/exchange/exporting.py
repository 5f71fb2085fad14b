"""Export a store as a data set of nnU-Net v2, BIDS derivatives or MONAI.

All contain corrected labels and copies of the images. Names are the salted ids of the store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import napari_flomo
from napari_flomo.corrections.exchange.cases import (
    Case,
    SelectedCorrections,
    Selection,
    folds,
    recoded,
)
from napari_flomo.corrections.store import CorrectionStore
from napari_flomo.errors import FlomoError
from napari_flomo.files import PathLike, atomic_folder, write_json, write_text
from napari_flomo.volumes import write

BIDS_VERSION = "1.10.0"
_DATASET = re.compile(r"Dataset\d{3}_[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Exported:
    """Result of an export.

    Attributes
    ----------
    folder
        The new folder.
    cases
        Number of label files in it.
    skipped
        One sentence for each correction that was left out.
    """

    folder: Path
    cases: int
    skipped: tuple[str, ...]


def export(
    store: CorrectionStore, folder: PathLike, format: str, selection: Selection | None = None
) -> Exported:
    """Write selected corrections for another tool.

    Parameters
    ----------
    store
        The store.
    folder
        A new or empty folder.
    format
        One of `FORMATS`.
    selection
        Which corrections; by default the accepted ones.

    Raises
    ------
    FlomoError
        If the format is unknown, nothing is selected or usable, or it cannot be written.
    """
    if format not in FORMATS:
        raise FlomoError(f"There is no format {format}; choose one of {', '.join(FORMATS)}.")
    target = Path(folder).absolute()
    if format == "nnunet" and not _DATASET.fullmatch(target.name):
        raise FlomoError(
            f"nnU-Net needs a folder named like Dataset501_Corrections, not {target.name}."
        )
    selected = SelectedCorrections(store, selection or Selection())
    with atomic_folder(target) as temporary:
        count = FORMATS[format](selected, temporary)
        if not count:
            reasons = " ".join(selected.skipped) or "No slice was seen by a person."
            raise FlomoError(f"None of the corrections can be exported: {reasons}")
    return Exported(target, count, tuple(selected.skipped))


def _nnunet(selected: SelectedCorrections, folder: Path) -> int:
    """Write the raw layout of nnU-Net v2.

    Slices that were not checked get nnU-Net's "ignore" label: the loss skips them.
    """
    codes = selected.consecutive()
    ignore = len(codes) + 1
    ignored = False
    written: list[Case] = []
    _make(folder, "imagesTr", "labelsTr")
    for case in selected.cases():
        labels = recoded(case.labels, codes)
        unseen = [index for index in range(labels.n_slices) if index not in case.seen]
        labels.data[unseen] = ignore
        ignored = ignored or bool(unseen)
        write(case.image, folder / "imagesTr" / f"{case.name}_0000.nii.gz")
        write(labels, folder / "labelsTr" / f"{case.name}.nii.gz")
        written.append(case)
    names = {selected.structures[code]: number for code, number in codes.items()}
    description = {
        "channel_names": {"0": selected.modality},
        "labels": {"background": 0} | names | ({"ignore": ignore} if ignored else {}),
        "numTraining": len(written),
        "file_ending": ".nii.gz",
        "description": "Corrections exported by napari-flomo",
        "original_codes": {name: code for code, name in sorted(selected.structures.items())},
    }
    _write_json(folder / "dataset.json", description)
    of_group = folds([case.group for case in written])
    if len(of_group) > 1:
        splits = []
        for fold in sorted(set(of_group.values())):
            held = [case.name for case in written if of_group[case.group] == fold]
            kept = [case.name for case in written if of_group[case.group] != fold]
            splits.append({"train": kept, "val": held})
        # For the preprocessed folder: nnU-Net's default split ignores patients.
        _write_json(folder / "splits_final.json", splits)
    return len(written)


def _monai(selected: SelectedCorrections, folder: Path) -> int:
    """Write images, labels and a datalist as in the Medical Segmentation Decathlon."""
    codes = selected.consecutive()
    _make(folder, "imagesTr", "labelsTr")
    items: list[dict[str, Any]] = []
    for case in selected.cases():
        image, label = (f"{kind}Tr/{case.name}.nii.gz" for kind in ("images", "labels"))
        write(case.image, folder / image)
        write(recoded(case.labels, codes), folder / label)
        items.append({"image": image, "label": label, "group": case.group, "seen": case.seen})
    of_group = folds([item["group"] for item in items])
    names = {str(number): selected.structures[code] for code, number in codes.items()}
    datalist = {
        "name": "Corrections",
        "description": "Exported by napari-flomo; 'seen' lists the slices that a person checked",
        "tensorImageSize": "3D",
        "modality": {"0": selected.modality},
        "labels": {"0": "background"} | names,
        "original_codes": {name: code for code, name in sorted(selected.structures.items())},
        "numTraining": len(items),
        "numTest": 0,
        "training": [item | {"fold": of_group[item["group"]]} for item in items],
        "test": [],
    }
    _write_json(folder / "datalist.json", datalist)
    return len(items)


def _bids(selected: SelectedCorrections, folder: Path) -> int:
    """Write BIDS derivatives: discrete segmentations with their tables.

    BIDS has no suffix for cardiac cine images, so the images go into ``sourcedata``, to which the
    segmentations refer. A group is a subject.
    """
    count = 0
    table = "index\tname\n0\tbackground\n"
    table += "".join(f"{code}\t{name}\n" for code, name in sorted(selected.structures.items()))
    for record, correction, image in selected.corrections():
        subject = f"sub-{record.group}"
        stem = f"{subject}_desc-{record.id}_dseg"
        source = f"sourcedata/{subject}/{subject}_desc-{record.id}_image.nii.gz"
        _make(folder, f"{subject}/anat", f"sourcedata/{subject}")
        write(image, folder / source)
        write(correction.corrected, folder / subject / "anat" / f"{stem}.nii.gz")
        write_text(folder / subject / "anat" / f"{stem}.tsv", table)
        sidecar = {
            "Description": "Labels that a person checked and corrected",
            "Manual": True,
            "Sources": [f"bids::{source}"],
            "State": record.state,
            "Reader": record.reader,
            "Model": None if record.model is None else record.model.name,
            "SlicesSeen": [list(place) for place in record.seen],
            "SlicesChanged": [list(place) for place in record.changed],
        }
        _write_json(folder / subject / "anat" / f"{stem}.json", sidecar)
        count += 1
    program = {"Name": "napari-flomo", "Version": napari_flomo.__version__}
    description = {
        "Name": "Corrected segmentations",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [program],
    }
    _write_json(folder / "dataset_description.json", description)
    readme = (
        "Segmentations that a person checked and corrected, exported by napari-flomo.\n"
        "The images are in sourcedata; a .json beside each segmentation lists the slices that\n"
        "were seen, as pairs of frame and slice counted from 0.\n"
    )
    write_text(folder / "README", readme)
    return count


FORMATS: Mapping[str, Callable[[SelectedCorrections, Path], int]] = {
    "nnunet": _nnunet,
    "bids": _bids,
    "monai": _monai,
}
"""Writers by name of the format."""


def _make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)


def _write_json(path: Path, content: Any) -> None:
    write_json(path, content, indent=2)
