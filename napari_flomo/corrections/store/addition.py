"""A correction to be added to a store, with the identity of its image."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np

from napari_flomo.corrections.identity import identity
from napari_flomo.corrections.store.correction import Correction
from napari_flomo.corrections.store.layout import Layout, Settings
from napari_flomo.corrections.store.record import ImageEntry, StoredFile
from napari_flomo.corrections.stored_files import read_stored
from napari_flomo.errors import FlomoError
from napari_flomo.schema import encode
from napari_flomo.volumes import Volume, same_place


@dataclass(frozen=True)
class Addition:
    """A correction to be added, and the verified `identity` of its image."""

    correction: Correction
    image_hash: str

    @classmethod
    def of(cls, correction: Correction, layout: Layout, settings: Settings) -> Addition:
        """Verify that a correction belongs to its image hash."""
        claimed, image = correction.image_hash, correction.image
        if image is not None and not np.isfinite(image.data).all():
            raise FlomoError("The image has values that are not finite; a store cannot keep it.")
        if image is None:
            stored = stored_image(layout, settings, claimed)
            checked = correction if stored is None else replace(correction, image=stored)
            return cls(checked, claimed)
        computed = identity(image)
        if not claimed or claimed == computed:
            return cls(correction, computed)
        # NIfTI rounds geometry to float32, so what was read from a store may hash differently.
        stored = stored_image(layout, settings, claimed)
        if stored is not None and same_image(stored, image):
            return cls(correction, claimed)
        raise FlomoError(
            "This correction belongs to another image: its image has another hash; open the image "
            "that was corrected."
        )

    def id(self, settings: Settings, generation: int) -> str:
        """Return the id: one for each image, reader and set of structures.

        After a deletion the next generation begins.
        """
        codes = json.dumps(sorted(self.correction.structures.items()))
        reader = self.correction.reader
        return settings.token("correction", self.image_hash, reader, codes, str(generation))

    def image_entry(self, copy: StoredFile | None) -> ImageEntry:
        """Return the image entry of the record."""
        image = self.correction.image
        modality = image.modality if image is not None else None
        # The text is from the file's header: only a code such as MR is stored.
        known = modality if modality and modality.isalpha() and len(modality) <= 8 else None
        return ImageEntry(self.image_hash, shape_of(self.correction.corrected), known, copy)

    def digest(self, group: str) -> str:
        """Return the hash of the content, independent of time and software."""
        correction = self.correction
        content = {
            "image": self.image_hash,
            "group": group,
            "reader": correction.reader,
            "state": correction.state,
            "model": encode(correction.model),
            "structures": sorted(correction.structures.items()),
            "seen": list(correction.seen),
            "labels": [_voxels(correction.proposed), _voxels(correction.corrected)],
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def stored_image(layout: Layout, settings: Settings, image_hash: str) -> Volume | None:
    """Return the copy of an image, None if the store has none."""
    paths = sorted(layout.images.glob(f"{settings.token('image', image_hash)}.*"))
    return read_stored(paths[0]) if paths else None


def same_image(first: Volume, second: Volume) -> bool:
    """Return True if two images have the same voxels on the same grid."""
    return (
        first.axes == second.axes
        and np.array_equal(first.data, second.data)
        and same_place(first, second)
    )


def shape_of(labels: Volume) -> tuple[int, ...]:
    """Return the number of frames, slices, rows and columns."""
    return labels.n_frames, *labels.spatial_shape


def _voxels(labels: Volume | None) -> str:
    if labels is None:
        return ""
    head = f"{labels.data.shape} {labels.data.dtype.newbyteorder('<').str}\n"
    data = np.ascontiguousarray(labels.data, labels.data.dtype.newbyteorder("<"))
    return hashlib.sha256(head.encode() + data.tobytes()).hexdigest()
