"""Keep state and measures of an image in the scene, and restore them after a scene was loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from FLoMoSegmentationLib import measures, results

if TYPE_CHECKING:
    from FLoMoSegmentationLib.scene_image import SceneImage
    from napari_flomo.session import Session


def note(session: Session, entry: SceneImage) -> None:
    """Keep review and measures of an image in the scene, once it has results there."""
    image, record = session.image(entry.key), entry.record
    if record is None or image.segmentation is None or image.review is None or entry.restoring:
        return
    results.keep_note(record, image)
    rows = measures.rows_of(image, session.measures(entry.key), entry.source.frame)
    measures.write_table(record, f"{image.name} measures", rows)


def restore(session: Session, entry: SceneImage) -> None:
    """Restore what a loaded scene knows of an image; a record that is of no use is removed."""
    if entry.record is None:
        return
    entry.restoring = True
    try:
        if not results.restore(session, entry.key, entry.source, entry.record):
            entry.record.forget()
            entry.record = None
    finally:
        entry.restoring = False
