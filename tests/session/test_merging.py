"""A result changes the scope of its run and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.session import Scope
from napari_flomo.session.merging import merge


@pytest.mark.parametrize("shape", [(4, 5, 6), (3, 4, 5, 6)])
@pytest.mark.parametrize("scope", [Scope(), Scope(slices=(1, 3)), Scope((0,), (0,))])
def test_only_the_scope_changes_and_never_a_locked_label(
    shape: tuple[int, ...], scope: Scope
) -> None:
    generator = np.random.default_rng(0)
    existing = generator.integers(0, 4, shape).astype(np.uint8)
    proposed = generator.integers(0, 4, shape).astype(np.uint8)
    kept = existing.copy()
    frames = shape[0] if len(shape) == 4 else 1
    mask = scope.mask(frames, shape[-3])
    merged = merge(existing, proposed, mask, locked={2})
    assert np.array_equal(existing, kept)  # the viewer shows this very array
    assert merged.dtype == np.uint8
    inside = np.broadcast_to(mask[..., None, None], (frames, *shape[-3:])).reshape(shape)
    assert np.array_equal(merged[~inside], existing[~inside])
    assert np.array_equal(merged == 2, existing == 2)
    free = inside & (existing != 2) & (proposed != 2)
    assert np.array_equal(merged[free], proposed[free])


def test_the_first_result() -> None:
    proposed = np.full((2, 3, 3), 5, np.uint8)
    assert np.array_equal(merge(None, proposed, Scope().mask(1, 2)), proposed)
    part = merge(None, proposed, Scope(slices=(1,)).mask(1, 2))
    assert part.sum() == 5 * 9
    uncertainty = merge(None, proposed.astype(np.float32), Scope(slices=(0,)).mask(1, 2))
    assert uncertainty[0].all()
    assert not uncertainty[1].any()


def test_painted_codes_of_a_larger_type_survive() -> None:
    existing = np.full((1, 2, 2), 70_000, np.int32)
    merged = merge(existing, np.ones((1, 2, 2), np.uint8), np.ones((1, 1), bool), locked={70_000})
    assert merged.dtype == np.int32
    assert np.array_equal(merged, existing)


def test_other_images_are_refused() -> None:
    with pytest.raises(FlomoError, match="belong to different images"):
        merge(np.zeros((2, 3, 3), int), np.zeros((2, 3, 4), int), np.ones((1, 2), bool))
    for scope in (Scope((2,)), Scope((-1,)), Scope(frames=(1,)), Scope(())):
        with pytest.raises(FlomoError):
            scope.mask(1, 2)
