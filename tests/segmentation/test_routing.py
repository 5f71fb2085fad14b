"""An image is sent to the model whose images it resembles, a stranger to the parent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_flomo.errors import FlomoError
from napari_flomo.models import ModelCard, Signature
from napari_flomo.schema import SchemaError
from napari_flomo.segmentation import SIGNATURE_KIND, fit_signature, image_signature, route
from napari_flomo.volumes import Geometry, Volume


def picture(seed: int, *, sharpness: float = 1, noise: float = 0.02) -> Volume:
    """A noisy bright ring in each of six slices; the smoother, the lower ``sharpness``."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[-64:64, -64:64]
    ring = np.hypot(y, x * generator.uniform(0.9, 1.1)) - generator.uniform(16, 22)
    data = 1 / (1 + np.exp(ring * sharpness)) + noise * generator.standard_normal((6, 128, 128))
    data += 0.4 * (np.hypot(y, x) > 45)
    return Volume(np.float32(data), Geometry((1.5, 1.5, 8)))


@pytest.fixture
def vectors(card: ModelCard) -> dict[str, list[np.ndarray]]:
    """The statistics of ten images of three kinds."""
    kinds: dict[str, dict[str, Any]] = {
        "plain": {}, "smooth": {"sharpness": 0.3}, "noisy": {"noise": 0.3}
    }  # fmt: skip
    return {
        name: [image_signature(picture(seed, **kind), card) for seed in range(10)]
        for name, kind in kinds.items()
    }


def test_each_image_goes_where_it_belongs(vectors: dict[str, list[np.ndarray]]) -> None:
    parent = fit_signature(vectors["plain"][:7])
    smooth = fit_signature(vectors["smooth"][:7], parent=parent, title="smooth")
    noisy = fit_signature(vectors["noisy"][:7], parent=parent)
    both = {"smooth": smooth, "noisy": noisy}
    for index in range(7, 10):
        assert route(vectors["plain"][index], parent, both).name is None
        found = route(vectors["smooth"][index], parent, both)
        assert (found.name, found.reason) == ("smooth", "nearest")
        assert found.nearness["smooth"].misfit < found.nearness[""].misfit
        assert route(vectors["noisy"][index], parent, both).name == "noisy"
        stranger = route(vectors["noisy"][index], parent, {"smooth": smooth})
        assert (stranger.name, stranger.reason) == (None, "stranger")


def test_what_cannot_be_compared_is_not_used(vectors: dict[str, list[np.ndarray]]) -> None:
    parent = fit_signature(vectors["plain"])
    smooth = fit_signature(vectors["smooth"], parent=parent)
    image = vectors["smooth"][0]
    assert route(image, parent, {}).reason == "alone"
    assert route(image, parent, {"other": replace(smooth, kind="of a later version")}).name is None
    assert route(image, parent, {"same": parent}).name is None  # a tie goes to the parent
    assert route(image, None, {"smooth": smooth}).name == "smooth"
    assert route(vectors["noisy"][0], None, {"smooth": smooth}).reason == "stranger"


def test_a_patient_counts_once(vectors: dict[str, list[np.ndarray]]) -> None:
    plain = vectors["plain"]
    often = fit_signature([*plain[:3], plain[0], plain[0]], ["a", "b", "c", "a", "a"])
    once = fit_signature(plain[:3])
    assert often.patients == once.patients == 3
    assert often.centre == pytest.approx(once.centre)
    parent = fit_signature(plain)
    assert fit_signature(vectors["noisy"][:1], parent=parent).patients == 1
    with pytest.raises(FlomoError, match="at least two patients"):
        fit_signature(plain[:1])
    with pytest.raises(FlomoError, match="at least two patients"):
        fit_signature([], parent=parent)


def test_statistics_depend_on_what_the_network_sees(card: ModelCard) -> None:
    image = picture(1)
    known = image_signature(image, card)
    brighter = image.with_data(image.data * 700 + 30)
    assert image_signature(brighter, card) == pytest.approx(known, abs=1e-3)
    frames = np.stack([image.data, picture(2).data])
    cine = Volume(frames, image.geometry, ("frames", *image.axes))
    assert image_signature(cine, card) == pytest.approx(known)
    small = Volume(image.data[:1, 40:80, 40:100], image.geometry)
    assert np.isfinite(image_signature(small, card)).all()
    assert np.isfinite(image_signature(image.with_data(np.zeros_like(image.data)), card)).all()
    with pytest.raises(FlomoError, match="photo"):
        image_signature(replace(image, modality="photo"), card)


@pytest.mark.parametrize(
    "wrong", [{"covariance": ((1.0,),)}, {"limit": 0.0}, {"patients": 0}, {"centre": ()}]
)
def test_an_invalid_signature_is_refused(wrong: dict[str, Any]) -> None:
    valid = Signature(SIGNATURE_KIND, (1.0, 2.0), ((1.0, 0.0), (0.0, 1.0)), 1.5, 3)
    with pytest.raises(SchemaError):
        replace(valid, **wrong)
