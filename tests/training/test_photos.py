"""Preparation of small photo data sets in their original layouts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from flomo_training.cases import list_cases, prepare_case
from flomo_training.photos import prepare_photos
from flomo_training.recipe import read_recipe
from flomo_training.slices import SliceDataset
from napari_flomo.cli import main
from napari_flomo.errors import FlomoError
from napari_flomo.networks import build
from napari_flomo.segmentation import Segmenter
from napari_flomo.volumes import read


def shades(seed: int, rows: int = 60, columns: int = 80, channels: int = 3) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 255, (8, 10, 3), np.uint8)
    colour = np.asarray(Image.fromarray(coarse).resize((columns, rows), Image.Resampling.BICUBIC))
    return colour if channels == 3 else colour[..., 0]


def spot(rows: int = 60, columns: int = 80, at: int = 30) -> np.ndarray:
    row, column = np.mgrid[:rows, :columns]
    return np.where(np.hypot(row - 30, column - at) < 9, 255, 0).astype(np.uint8)


def save(pixels: np.ndarray, path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def clinicdb(tmp_path):
    """Twenty frames of ten videos, numbered without leading zeros."""
    source = tmp_path / "clinicdb"
    for number in range(1, 21):
        film = shades((number - 1) // 2)
        save(np.clip(film + np.uint8(number % 2), 0, 255), source / f"Original/{number}.tif")
        save(spot(), source / f"Ground Truth/{number}.tif")
    return source


@pytest.fixture
def busi(tmp_path):
    source = tmp_path / "Dataset_BUSI_with_GT"
    for kind, first in (("benign", 0), ("malignant", 50), ("normal", 100)):
        for number in range(1, 8):
            stem = source / kind / f"{kind} ({number})"
            pixels = shades(first + number, columns=64 + number, channels=1)
            save(np.stack([pixels] * 3, axis=-1), stem.with_name(f"{stem.name}.png"))
            mask = spot(columns=64 + number) * (kind != "normal")
            save(mask, stem.with_name(f"{stem.name}_mask.png"))
    second = spot(columns=65, at=55)
    save(second, source / "benign" / "benign (1)_mask_1.png")
    double = Image.open(source / "benign" / "benign (3).png").resize((70, 62))
    double.save(source / "malignant" / "malignant (5).png")
    save(spot(62, 70), source / "malignant" / "malignant (5)_mask.png")
    return source


@pytest.fixture
def montgomery(tmp_path):
    source = tmp_path / "MontgomerySet"
    for number in range(1, 11):
        name = f"MCUCXR_{number:04d}_{number % 2}.png"
        save(shades(number, channels=1), source / "CXR_png" / name)
        save(spot(at=20), source / "ManualMask/leftMask" / name)
        save(spot(at=60), source / "ManualMask/rightMask" / name)
    return source


def test_clinicdb_has_five_blocks_of_whole_videos(clinicdb, tmp_path, read_cases):
    prepare_photos("cvc_clinicdb", clinicdb, tmp_path / "out")
    rows = read_cases(tmp_path / "out")
    assert list(rows) == [f"{number:03d}" for number in range(1, 21)]
    blocks = [row["patient"] for row in rows.values()]
    assert blocks == [f"block{i + 1}" for i in range(5) for _ in range(4)]
    image = tmp_path / "out/images/007.tif"
    assert image.read_bytes() == (clinicdb / "Original/7.tif").read_bytes()
    assert np.unique(read(tmp_path / "out/labels/007.png").data).tolist() == [0, 1]


def test_busi_keeps_near_duplicates_together_and_merges_masks(busi, tmp_path, read_cases):
    prepare_photos("busi", busi, tmp_path / "out")
    rows = read_cases(tmp_path / "out")
    assert len(rows) == 21
    assert rows["benign_3"]["patient"] == rows["malignant_5"]["patient"] == "benign_3"
    assert len({row["patient"] for row in rows.values()}) == 20
    assert int(rows["benign_1"]["mask_pixels"]) > 1.7 * int(rows["benign_2"]["mask_pixels"])
    assert rows["normal_2"]["mask_pixels"] == "0"
    assert read(tmp_path / "out" / rows["benign_2"]["image"]).data.ndim == 3  # grey
    folds = json.loads((tmp_path / "out/folds.json").read_text())
    assert set(folds["perceptual_hashes"]) == set(rows)
    assert folds["near_duplicate_bits"] > 0
    for fold in range(5):
        kinds = [case.group for case in list_cases(tmp_path / "out", fold, "validation")]
        assert kinds.count("normal") in (1, 2)


def test_montgomery_joins_the_lungs(montgomery, tmp_path, read_cases):
    prepare_photos("montgomery", montgomery, tmp_path / "out")
    rows = read_cases(tmp_path / "out")
    assert len({row["patient"] for row in rows.values()}) == 10
    labels = read(tmp_path / "out/labels/MCUCXR_0001_1.png").data[0]
    assert labels[30, 20] == labels[30, 60] == 1
    assert labels[30, 40] == 0
    assert rows["MCUCXR_0001_1"]["group"] == "tuberculosis"


def test_invalid_photos_are_reported_and_nothing_is_usable(montgomery, tmp_path):
    (montgomery / "ManualMask/rightMask/MCUCXR_0004_0.png").unlink()
    with pytest.raises(FlomoError, match=r"a mask of MCUCXR_0004_0\.png missing"):
        prepare_photos("montgomery", montgomery, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    save(spot(61, 80), montgomery / "ManualMask/rightMask/MCUCXR_0004_0.png")
    with pytest.raises(FlomoError, match="different sizes"):
        prepare_photos("montgomery", montgomery, tmp_path / "out")
    assert not (tmp_path / "out/cases.csv").exists()
    save(spot(at=60), montgomery / "ManualMask/rightMask/MCUCXR_0004_0.png")
    prepare_photos("montgomery", montgomery, tmp_path / "out")  # goes on
    assert len(list_cases(tmp_path / "out", 0, "all")) == 10


def test_empty_masks_are_valid_for_normal_images_only(busi, tmp_path):
    save(spot(columns=68) * 0, busi / "malignant" / "malignant (4)_mask.png")
    with pytest.raises(FlomoError, match=r"malignant \(4\)\.png is empty"):
        prepare_photos("busi", busi, tmp_path / "out")


def test_unrelated_folder_is_rejected(tmp_path, capsys):
    arguments = ["data", "prepare", "busi", "--source", str(tmp_path), "--out", f"{tmp_path}/out"]
    assert main(arguments) == 2
    assert "does not look like BUSI" in capsys.readouterr().err


@pytest.fixture
def card():
    recipe = read_recipe("cvc_clinicdb")
    rules = replace(recipe.model.preprocessing, size=48)
    return replace(recipe.model, preprocessing=rules, network_arguments={})


def test_photo_preprocessing_equals_inference(clinicdb, card, tmp_path):
    prepare_photos("cvc_clinicdb", clinicdb, tmp_path / "out")
    case = list_cases(tmp_path / "out", 0, "training")[0]
    prepared = prepare_case(case, card)
    assert prepared.images.shape == (1, 3, 36, 48)
    assert prepared.classes.shape == (1, 36, 48)
    assert prepared.centre == pytest.approx((30 * 0.6, 30 * 0.6), abs=0.5)
    network = build(card.network, in_channels=3, num_classes=2).eval()
    volume = read(case.image)
    result = Segmenter(network, card, "cpu").segment(volume)
    assert result.labels.spatial_shape == volume.spatial_shape == (1, 60, 80)
    assert result.labels.geometry == volume.geometry


def test_crops_stay_inside_the_photo(clinicdb, card, tmp_path):
    prepare_photos("cvc_clinicdb", clinicdb, tmp_path / "out")
    recipe = read_recipe("cvc_clinicdb")
    still = replace(
        recipe.augmentation,
        **dict.fromkeys(
            ("flip", "affine", "gamma", "brightness", "contrast", "noise", "blur"), 0.0
        ),
    )
    volumes = [prepare_case(c, card) for c in list_cases(tmp_path / "out", 0, "training")]
    for size, empty in ((32, 0), (48, 12)):
        stages = (replace(recipe.crops.stages[0], from_epoch=0, size=size),)
        slices = SliceDataset(volumes, replace(recipe.crops, stages=stages), still, 1)
        for epoch in range(5):
            image = slices[(epoch, 3)]["image"]
            assert image.shape == (3, size, size)
            outside = (image == 0).all(0).all(1)
            assert int(outside.sum()) == empty
            assert not empty or outside[:6].all()
