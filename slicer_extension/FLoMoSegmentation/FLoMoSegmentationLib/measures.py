"""Millilitres, ejection fraction and mass as a table of the scene."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import slicer
import vtk

if TYPE_CHECKING:
    from FLoMoSegmentationLib.record import Record
    from napari_flomo.measures import HeartMeasures
    from napari_flomo.models import ModelCard
    from napari_flomo.session import OpenImage

COLUMNS = ("Structure", "Measure", "Value", "Unit", "Uncorrected, against a reader")
"""The last one has 95 % limits of agreement from the model's card."""


class Row(NamedTuple):
    """One line of the table."""

    structure: str
    measure: str
    value: str
    unit: str
    agreement: str = ""


def rows_of(image: OpenImage, heart: HeartMeasures | None, frame: int) -> list[Row]:
    """Return the measures of the labels; unknown ones are left out.

    Parameters
    ----------
    image
        A segmented image.
    heart
        From `Session.measures`.
    frame
        The frame on the screen, counted from 0; volumes of the structures are told for it.
    """
    if image.segmentation is None or image.counts is None:
        return []
    which = f"volume, frame {frame + 1}" if image.volume.n_frames > 1 else "volume"
    rows = []
    for label in image.segmentation.card.labels[1:]:
        ml = image.counts.ml(label.code, frame)
        if ml is None:
            rows.append(
                Row(label.name, which, str(image.counts.voxels(label.code, frame)), "pixels")
            )
        else:
            rows.append(Row(label.name, which, f"{ml:.1f}", "ml"))
    return rows if heart is None else rows + _heart_rows(heart, image.segmentation.card)


def write_table(record: Record, name: str, rows: list[Row]) -> Any:
    """Put the lines into the table of an image, made where there is none."""
    node = record.table
    if node is None:
        scene = slicer.mrmlScene
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetLocked(True)
        record.refer("table", node)
    table = node.GetTable()
    table.Initialize()
    for number, title in enumerate(COLUMNS):
        column = vtk.vtkStringArray()
        column.SetName(title)
        for row in rows:
            column.InsertNextValue(row[number])
        table.AddColumn(column)
    table.Modified()
    node.Modified()
    return node


def _heart_rows(heart: HeartMeasures, card: ModelCard) -> list[Row]:
    from napari_flomo.measures import agreement_limits
    from napari_flomo.session import messages

    rows = []
    for name, ventricle in (("left ventricle", heart.left), ("right ventricle", heart.right)):
        if ventricle is None:
            continue
        known = (
            ("EDV", ventricle.edv_ml, "ml"),
            ("ESV", ventricle.esv_ml, "ml"),
            ("SV", ventricle.sv_ml, "ml"),
            ("EF", ventricle.ef_percent, "%"),
        )
        rows += [
            Row(name, what, f"{value:.1f}", unit, str(agreement_limits(card, name, what) or ""))
            for what, value, unit in known
            if value is not None
        ]
    if heart.mass_g is not None:
        rows.append(Row("left ventricular myocardium", "mass", f"{heart.mass_g:.1f}", "g"))
    if heart.ed_frame is not None and heart.es_frame is not None:
        rows.append(Row("heart", "end of diastole", str(heart.ed_frame + 1), "frame"))
        rows.append(Row("heart", "end of systole", str(heart.es_frame + 1), "frame"))
    if not heart.complete:
        rows.append(Row("heart", messages.PARTIAL_MEASURES, "", ""))
    return rows
