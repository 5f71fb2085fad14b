"""A store as a data set of nnU-Net v2, BIDS derivatives or MONAI: a new folder, whole or none.

All three contain corrected labels and, where nothing speaks against it, copies of the images. Names
are the salted ids of the store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import napari_flomo
from napari_flomo.corrections.exchange.cases import Case, Chosen, Selection, folds, recoded
from napari_flomo.corrections.store import CorrectionStore
from napari_flomo.errors import FlomoError
from napari_flomo.files import PathLike, atomic_folder, atomic_write
from napari_flomo.volumes import write

BIDS_VERSION = "1.10.0"
_DATASET = re.compile(r"Dataset\d{3}_[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes
    ----------
    folder
        What was written.
    cases
        How many label files are in it.
    skipped
        Why corrections were left out, one sentence each.
    """

    folder: Path
    cases: int
    skipped: tuple[str, ...]


def export(
    store: CorrectionStore, folder: PathLike, format: str, selection: Selection | None = None
) -> Exported:
    """Write chosen corrections for another tool.

    Parameters
    ----------
    store
        What to export.
    folder
        To write; new or empty.
    format
        One of `FORMATS`.
    selection
        Which corrections; the accepted ones by default.

    Raises
    ------
    FlomoError
        If the format is unknown, nothing is chosen or usable, or it cannot be written.
    """
    if format not in FORMATS:
        raise FlomoError(f"There is no format {format}; choose one of {', '.join(FORMATS)}.")
    target = Path(folder).absolute()
    if format == "nnunet" and not _DATASET.fullmatch(target.name):
        raise FlomoError(
            f"nnU-Net wants a folder named like Dataset501_Corrections, not {target.name}."
        )
    chosen = Chosen(store, selection or Selection())
    with atomic_folder(target) as temporary:
        count = FORMATS[format](chosen, temporary)
        if not count:
            reasons = " ".join(chosen.skipped) or "No slice was seen by a person."
            raise FlomoError(f"None of the corrections can be exported: {reasons}")
    return Exported(target, count, tuple(chosen.skipped))


def _nnunet(chosen: Chosen, folder: Path) -> int:
    """Write the raw layout of nnU-Net v2.

    Slices that nobody saw get nnU-Net's "ignore" label: the loss leaves them out.
    """
    codes = chosen.consecutive()
    ignore = len(codes) + 1
    ignored = False
    written: list[Case] = []
    _make(folder, "imagesTr", "labelsTr")
    for case in chosen.cases():
        labels = recoded(case.labels, codes)
        unseen = [index for index in range(labels.n_slices) if index not in case.seen]
        labels.data[unseen] = ignore
        ignored = ignored or bool(unseen)
        write(case.image, folder / "imagesTr" / f"{case.name}_0000.nii.gz")
        write(labels, folder / "labelsTr" / f"{case.name}.nii.gz")
        written.append(case)
    names = {chosen.structures[code]: number for code, number in codes.items()}
    description = {
        "channel_names": {"0": chosen.modality},
        "labels": {"background": 0} | names | ({"ignore": ignore} if ignored else {}),
        "numTraining": len(written),
        "file_ending": ".nii.gz",
        "description": "Corrections exported by napari-flomo",
        "original_codes": {name: code for code, name in sorted(chosen.structures.items())},
    }
    _write_json(folder / "dataset.json", description)
    of_group = folds([case.group for case in written])
    if len(of_group) > 1:
        splits = []
        for fold in sorted(set(of_group.values())):
            held = [case.name for case in written if of_group[case.group] == fold]
            kept = [case.name for case in written if of_group[case.group] != fold]
            splits.append({"train": kept, "val": held})
        # To be copied into the preprocessed folder: nnU-Net's own split knows no patients.
        _write_json(folder / "splits_final.json", splits)
    return len(written)


def _monai(chosen: Chosen, folder: Path) -> int:
    """Write images, labels and a datalist in the manner of the Medical Segmentation Decathlon."""
    codes = chosen.consecutive()
    _make(folder, "imagesTr", "labelsTr")
    items: list[dict[str, Any]] = []
    for case in chosen.cases():
        image, label = (f"{kind}Tr/{case.name}.nii.gz" for kind in ("images", "labels"))
        write(case.image, folder / image)
        write(recoded(case.labels, codes), folder / label)
        items.append({"image": image, "label": label, "group": case.group, "seen": case.seen})
    of_group = folds([item["group"] for item in items])
    names = {str(number): chosen.structures[code] for code, number in codes.items()}
    datalist = {
        "name": "Corrections",
        "description": "Exported by napari-flomo; 'seen' lists the slices that a person checked",
        "tensorImageSize": "3D",
        "modality": {"0": chosen.modality},
        "labels": {"0": "background"} | names,
        "original_codes": {name: code for code, name in sorted(chosen.structures.items())},
        "numTraining": len(items),
        "numTest": 0,
        "training": [item | {"fold": of_group[item["group"]]} for item in items],
        "test": [],
    }
    _write_json(folder / "datalist.json", datalist)
    return len(items)


def _bids(chosen: Chosen, folder: Path) -> int:
    """Write BIDS derivatives: discrete segmentations with their tables.

    BIDS has no suffix for cardiac cine images, so the images go into ``sourcedata``, to which the
    segmentations refer. A group is a subject.
    """
    count = 0
    table = "index\tname\n0\tbackground\n"
    table += "".join(f"{code}\t{name}\n" for code, name in sorted(chosen.structures.items()))
    for record, correction, image in chosen.corrections():
        subject = f"sub-{record.group}"
        stem = f"{subject}_desc-{record.id}_dseg"
        source = f"sourcedata/{subject}/{subject}_desc-{record.id}_image.nii.gz"
        _make(folder, f"{subject}/anat", f"sourcedata/{subject}")
        write(image, folder / source)
        write(correction.corrected, folder / subject / "anat" / f"{stem}.nii.gz")
        with atomic_write(folder / subject / "anat" / f"{stem}.tsv") as temporary:
            temporary.write_text(table, encoding="utf-8")
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
    with atomic_write(folder / "README") as temporary:
        temporary.write_text(
            "Segmentations that a person checked and corrected, exported by napari-flomo.\n"
            "The images lie in sourcedata; a .json beside each segmentation tells which slices\n"
            "were seen, as pairs of frame and slice counted from 0.\n",
            encoding="utf-8",
        )
    return count


FORMATS: Mapping[str, Callable[[Chosen, Path], int]] = {
    "nnunet": _nnunet,
    "bids": _bids,
    "monai": _monai,
}
"""What can be exported to, by name."""


def _make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)


def _write_json(path: Path, content: Any) -> None:
    with atomic_write(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
