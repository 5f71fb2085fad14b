"""Agreement of two readers: known shifts, perfect agreement, what is left out."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("monai", reason="training needs the [train] extra")

from flomo_training.readers import NAMES, compare_readers, write_agreement
from napari_flomo import cli
from napari_flomo.corrections import Correction, CorrectionStore, ModelReference
from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Geometry, Volume

NAMED = {1: "right ventricle", 2: "left ventricular myocardium", 3: "left ventricle"}
SPACING = (1.5, 1.5, 8.0)
MODEL = ModelReference("toy", "ab" * 32)


def heart(half, *, frames=1, shift=0):
    """Squares of 2 * half pixels, shrunk by 4 in later frames; empty first and last slice."""
    data = np.zeros((frames, 6, 40, 40), np.uint8)
    for frame in range(frames):
        inner = half - 2 * (frame > 0)
        data[frame, 1:5, 6:34, 6 + shift : 34 + shift] = 2
        data[frame, 1:5, 20 - inner : 20 + inner, 20 - inner + shift : 20 + inner + shift] = 3
        data[frame, 1:5, 2:6, 6:34] = 1
    return data if frames > 1 else data[0]


@pytest.fixture
def store(tmp_path):
    return CorrectionStore.open(tmp_path / "store", create=True)


@pytest.fixture
def add(store):
    """Add labels by a reader; the images differ by ``number``."""

    def add(reader, labels, number=0, *, seen=None, patient="", **changes):
        axes = ("frames", "slices", "rows", "columns")[-labels.ndim :]
        image = Volume(np.full(labels.shape, number, np.int16), Geometry(SPACING), axes)
        frames = len(labels) if labels.ndim == 4 else 1
        every = [(frame, slice_) for frame in range(frames) for slice_ in range(6)]
        fields = {"state": "accepted", "model": MODEL, "structures": NAMED} | changes
        correction = Correction(
            image=image,
            corrected=image.with_data(labels),
            seen=every if seen is None else seen,
            reader=reader,
            group=store.group_id(patient) if patient else "",
            **fields,
        )
        return store.add(correction)

    return add


def test_the_same_labels_agree_perfectly(store, add):
    for number in range(3):
        for reader in ("ab", "cd"):
            add(reader, heart(8 + number, frames=2), number)
    found = compare_readers(store)
    assert (found.patients, found.slices) == (3, 36)
    assert {one.dice.value for one in found.structures()} == {1.0}
    assert {one.hd95_mm.value for one in found.structures()} == {0.0}
    limits = found.limits()
    assert len(limits) == 7
    for one in limits:
        agreement = one.agreement
        assert (agreement.bias.value, agreement.lower, agreement.upper) == (0, 0, 0)


def test_a_shift_by_one_pixel(store, add):
    """Squares of n pixels a side overlap in n - 1 columns; the distance is one pixel."""
    add("ab", heart(8))
    add("cd", heart(8, shift=1))
    found = {one.name: one for one in compare_readers(store).structures()}
    cavity = found["left ventricle"]
    assert cavity.dice.value == pytest.approx(15 / 16)
    assert cavity.hd95_mm.value == pytest.approx(1.5)
    assert found["right ventricle"].dice.value == 1


@pytest.mark.parametrize("apart", [False, True], ids=["cine", "two images"])
def test_bias_and_limits_of_agreement(store, add, apart):
    """The second reader's squares are 2 pixels wider in two patients, and equal in a third."""
    expected = {"EDV": [], "ESV": [], "EF": []}
    ml = np.prod(SPACING) / 1000 * 4
    for number, (half, wider) in enumerate(((6, 1), (8, 1), (10, 0))):
        volumes = []
        for reader, size in (("ab", half), ("cd", half + wider)):
            labels, patient = heart(size, frames=2), f"patient{number}"
            if apart:
                add(reader, labels[1], 2 * number, patient=patient)
                add(reader, labels[0], 2 * number + 1, patient=patient)
            else:
                add(reader, labels, number, patient=patient)
            volumes.append((ml * (2 * size) ** 2, ml * (2 * size - 4) ** 2))
        (edv, esv), (edv2, esv2) = volumes
        expected["EDV"].append(edv2 - edv)
        expected["ESV"].append(esv2 - esv)
        expected["EF"].append(100 * ((edv2 - esv2) / edv2 - (edv - esv) / edv))
    limits = {one.name: one.agreement for one in compare_readers(store).limits()}
    for quantity, differences in expected.items():
        found = limits[f"left ventricle {quantity}"]
        bias, margin = np.mean(differences), 1.96 * np.std(differences, ddof=1)
        assert (found.bias.value, found.lower, found.upper) == pytest.approx(
            (bias, bias - margin, bias + margin)
        )
    mass = limits["left ventricular mass"]
    assert mass.bias.value == pytest.approx(-1.05 * np.mean(expected["EDV"]))


def test_only_slices_that_both_reviewed(store, add):
    labels = heart(8, frames=2)
    other = labels.copy()
    other[:, 1] = 0  # in a slice that the second reader did not review
    some = [(frame, slice_) for frame in range(2) for slice_ in (2, 3, 4)]
    add("ab", labels)
    add("cd", other, seen=some)
    found = compare_readers(store)
    assert found.slices == 6
    assert {row.dice for row in found.rows} == {1.0}
    assert not any("EF" in row.measure for row in found.measures), "a slice with labels is missing"
    assert any("without EDV" in sentence for sentence in found.left_out)
    assert found.measures[0].measure == "right ventricle volume"


def test_what_nobody_drew_is_not_measured(store, add):
    labels = heart(8, frames=2)
    labels[labels == 1] = 0
    for reader in ("ab", "cd"):
        add(reader, labels)
    found = compare_readers(store)
    assert not any("right" in one.name for one in (*found.structures(), *found.limits()))
    assert not found.has_proposals


def test_codes_are_matched_by_name_and_drafts_do_not_count(store, add):
    other = np.array([0, 3, 2, 1], np.uint8)[heart(8)]
    add("ab", heart(8))
    add("cd", other, structures={1: "Left Ventricle", 2: NAMED[2], 3: NAMED[1]})
    add("ef", heart(9), state="draft")
    found = compare_readers(store)
    assert found.aliases == ("ab", "cd")
    assert {one.dice.value for one in found.structures()} == {1.0}


def test_readers_must_be_two_with_images_in_common(store, add):
    add("ab", heart(8))
    with pytest.raises(FlomoError, match="those of ab; each reader types an alias"):
        compare_readers(store)
    add("cd", heart(8), 1)
    with pytest.raises(FlomoError, match="no image of which both ab and cd"):
        compare_readers(store)
    add("ef", heart(8))
    with pytest.raises(FlomoError, match=r"3 readers \(ab, cd, ef\); choose two"):
        compare_readers(store)
    with pytest.raises(FlomoError, match="no accepted corrections of gh"):
        compare_readers(store, ("ab", "gh"))
    assert compare_readers(store, ("ef", "ab")).aliases == ("ef", "ab")


def test_files_and_command(store, add, tmp_path, capsys):
    for number, half in enumerate((7, 9)):
        add("anna", heart(half, frames=2), number)
        add("ben", heart(half + 1, frames=2), number)
    out = tmp_path / "out"
    command = ["corrections", "agreement", "--store", str(store.folder), "--out"]
    assert cli.main([*command, str(out)]) == 0
    assert "anna is reader A, ben is reader B" in capsys.readouterr().out
    content = json.loads((out / "agreement.json").read_text())
    assert content["measures"]["left ventricle EDV"]["count"] == 2
    assert (out / "bland_altman.png").read_bytes().startswith(b"\x89PNG")
    assert len((out / "structures.csv").read_text().splitlines()) == 1 + 2 * 2 * 3
    page = (out / "agreement.md").read_text()
    edv = next(row for row in content["by_patient"] if row["measure"] == "left ventricle EDV")
    assert f"{edv['first']:.1f} / {edv['second']:.1f} ({edv['difference']:+.1f})" in page
    texts = [path.read_text() for path in out.iterdir() if path.suffix != ".png"]
    assert not any(name in text for text in texts for name in ("anna", "ben"))
    assert cli.main([*command, str(out)]) == 2, "the folder is not empty"
    assert cli.main([*command, str(tmp_path / "named"), "--show-aliases", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["readers"] == ["anna", "ben"]
    assert "anna" in (tmp_path / "named" / "agreement.md").read_text()


def test_a_photo_has_no_millimetres(store):
    image = Volume(np.zeros((1, 20, 20), np.uint8), Geometry((1, 1, 1), spacing_known=False))
    labels = image.with_data(np.pad(np.ones((1, 8, 8), np.uint8), ((0, 0), (4, 8), (4, 8))))
    first = Correction(image, labels, {1: "polyp"}, seen=[(0, 0)], state="accepted", reader="ab")
    store.add(first)
    store.add(replace(first, reader="cd"))
    found = compare_readers(store)
    assert found.structures()[0].dice.value == 1
    assert found.measures == ()
    write_agreement(found, store.folder.parent / "out", NAMES)
    assert "| polyp | 1 | 1.000 | – |" in (store.folder.parent / "out/agreement.md").read_text()
