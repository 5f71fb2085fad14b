"""The table node with volumes, ejection fraction and mass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import slicer
import vtk

if TYPE_CHECKING:
    from FLoMoSegmentationLib.result_nodes import ResultNodes
    from napari_flomo.measures import HeartMeasures, HeartPhases, VolumeCurve
    from napari_flomo.models import ModelCard
    from napari_flomo.session import OpenImage

COLUMNS = ("Structure", "Measure", "Value", "Unit", "Uncorrected, against a reader")
"""The last one has the 95 % limits of agreement in the model card."""


class MeasureRow(NamedTuple):
    """One row of the table."""

    structure: str
    measure: str
    value: str
    unit: str
    agreement: str = ""


def rows_of(
    image: OpenImage,
    heart: HeartMeasures | None,
    frame: int,
    curves: Sequence[VolumeCurve] = (),
) -> list[MeasureRow]:
    """Return the known measures of the labels.

    Parameters
    ----------
    image
        A segmented image.
    heart
        From `Session.measures`.
    frame
        The frame, counted from 0, for the volumes of the structures.
    curves
        From `Session.curves`; frames whose volume jumps get a row.
    """
    from napari_flomo.session import cine_messages, counts_of, unknown_measures

    counts = counts_of(image, [frame])
    if image.segmentation is None or counts is None:
        return []
    which = f"volume, frame {frame + 1}" if image.volume.n_frames > 1 else "volume"
    rows = []
    for label in image.segmentation.card.labels[1:]:
        ml, voxels = counts.ml(label.code, frame), counts.voxels(label.code, frame)
        value = (str(voxels), "pixels") if ml is None else (f"{ml:.1f}", "ml")
        rows.append(MeasureRow(label.name, which, *value))
    names = {label.code: label.name for label in image.segmentation.card.labels}
    rows += [
        MeasureRow(
            names[curve.code],
            cine_messages.JUMP,
            ", ".join(str(one + 1) for one in curve.jumps),
            cine_messages.frame_unit(pinned=False),
        )
        for curve in curves
        if curve.jumps
    ]
    if unknown := unknown_measures(image):
        rows.append(MeasureRow("heart", unknown, "", ""))
    return rows if heart is None else rows + _heart_rows(heart, image.segmentation.card)


def write_table(results: ResultNodes, name: str, rows: list[MeasureRow]) -> Any:
    """Write the rows into the table of an image, which is added if missing; return it."""
    node = results.table
    if node is None:
        scene = slicer.mrmlScene
        node = scene.AddNewNodeByClass("vtkMRMLTableNode", scene.GenerateUniqueName(name))
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetLocked(True)
        results.set_reference("table", node)
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


def _heart_rows(heart: HeartMeasures, card: ModelCard) -> list[MeasureRow]:
    from napari_flomo.measures import agreement_limits
    from napari_flomo.session import cine_messages, measure_messages

    rows = []
    for name, ventricle in (("left ventricle", heart.left), ("right ventricle", heart.right)):
        if ventricle is None:
            continue
        rows += [
            MeasureRow(
                name, what, f"{value:.1f}", unit, str(agreement_limits(card, name, what) or "")
            )
            for what, value, unit in ventricle.rows()
            if value is not None
        ]
    if heart.mass_g is not None:
        rows.append(MeasureRow("left ventricular myocardium", "mass", f"{heart.mass_g:.1f}", "g"))
    if heart.phases is not None:
        rows += _phase_rows(heart.phases)
    rows += [MeasureRow("heart", one, "", "") for one in heart.conventions.differences()]
    if any(row.agreement for row in rows):
        rows.append(MeasureRow("heart", measure_messages.agreement_text(card), "", ""))
    if not heart.complete:
        rows.append(MeasureRow("heart", cine_messages.PARTIAL_MEASURES, "", ""))
    return rows


def _phase_rows(phases: HeartPhases) -> list[MeasureRow]:
    """Return the frames of both ventricles, once where they are the same."""
    from napari_flomo.measures import PHASES
    from napari_flomo.session import cine_messages

    sides = [("left ventricle", phases.left), ("right ventricle", phases.right)]
    if phases.left == phases.right:
        sides = [("heart", phases.left)]
    return [
        MeasureRow(
            name,
            cine_messages.PHASE_NAMES[phase],
            str(frame + 1),
            cine_messages.frame_unit(phase in one.pinned),
        )
        for name, one in sides
        for phase in PHASES
        if (frame := one.frame(phase)) is not None
    ]
