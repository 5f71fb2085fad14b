"""One slice of a journal, without reading the whole image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_flomo.corrections.journal_files import (
    Content,
    image_file,
    labels_file,
    read_about,
    read_content,
)
from napari_flomo.corrections.stored_files import map_stored


@dataclass(frozen=True, eq=False)
class Preview:
    """The middle one of the changed slices, after the last stroke.

    Attributes
    ----------
    image
        Grey values, ``(rows, columns)``, or colours, ``(rows, columns, channels)``.
    labels
        ``(rows, columns)``.
    """

    image: NDArray[Any]
    labels: NDArray[np.integer]


def preview(folder: Path) -> Preview:
    """Return the middle one of the slices that were changed; the middle slice if none was.

    Raises
    ------
    FlomoError
        If the folder holds no journal, or its image or labels cannot be read.
    """
    about, content = read_about(folder), read_content(folder)
    rows, columns = about.shape[-2:]
    labels = map_stored(labels_file(folder, content.generation)).reshape(-1, rows, columns)
    changed = _changed(folder, content, labels) or [len(labels) // 2]
    number = changed[len(changed) // 2]
    shown = labels[number].astype(np.int64).ravel()
    first = number * shown.size
    for stroke in content.strokes:
        inside = (stroke.indices >= first) & (stroke.indices < first + shown.size)
        shown[stroke.indices[inside] - first] = stroke.new[inside]
    image = map_stored(image_file(folder)).reshape(len(labels), rows, columns, -1)[number]
    return Preview(
        np.squeeze(np.array(image), -1) if image.shape[-1] == 1 else np.array(image),
        shown.reshape(rows, columns),
    )


def _changed(folder: Path, content: Content, labels: NDArray[Any]) -> list[int]:
    """Return the numbers of the changed slices, counted over all frames."""
    size = labels[0].size
    changed = {int(one) for stroke in content.strokes for one in np.unique(stroke.indices // size)}
    if content.generation:  # earlier strokes are in the labels
        before = map_stored(labels_file(folder, 0)).reshape(labels.shape)
        changed |= {
            number for number, one in enumerate(labels) if not np.array_equal(one, before[number])
        }
    return sorted(number for number in changed if 0 <= number < len(labels))
