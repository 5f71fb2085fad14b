"""Enhanced objects: place, time and scale of each frame in the functional groups."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRLittleEndian, RLELossless, generate_uid

from napari_flomo.errors import FlomoError
from napari_flomo.volumes import Volume, find_series, read

Frame = tuple[int, int]  # phase, slice
SERIES, STUDY = generate_uid(), generate_uid()


def item(**elements: Any) -> Dataset:
    made = Dataset()
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def content(**elements: Any) -> dict[str, Any]:
    return {"FrameContentSequence": [item(**elements)]}


def synchronised(**elements: Any) -> dict[str, Any]:
    return {"CardiacSynchronizationSequence": [item(**elements)]}


def by_delay(phase: int, _slice: int) -> dict[str, Any]:
    times = {"NominalCardiacTriggerDelayTime": 20.5 + 40.0 * phase, "RRIntervalTimeNominal": 850.0}
    return synchronised(**times)


def by_index(phase: int, _slice: int) -> dict[str, Any]:
    return content(TemporalPositionIndex=phase + 1)


TIMES: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "delay": by_delay,
    "index": by_index,
    "moment": lambda p, s: content(FrameAcquisitionDateTime=f"20120000{101500 + s:06}.{p}00000"),
    "reference": lambda p, s: content(FrameReferenceDateTime=f"20120304{101500 + s:06}.{p}+0100"),
    "percentage": lambda p, _: synchronised(NominalPercentageOfCardiacPhase=30.0 * p),
    "dimension": lambda p, s: content(DimensionIndexValues=[s + 1, p + 1]),
}


def write_enhanced(
    path: Path,
    volume: Volume,
    frames: Sequence[Frame],
    time: Callable[[int, int], dict[str, Any]],
    *,
    number: int = 1,
    scale: Callable[[int, int], tuple[float, float]] | None = None,
    **changes: Any,
) -> None:
    """Write frames of a volume as one enhanced MR object; ``scale`` divides what is stored."""
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = EnhancedMRImageStorage
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid()
    one.StudyInstanceUID, one.SeriesInstanceUID = STUDY, SERIES
    one.Modality, one.SeriesNumber, one.InstanceNumber = "MR", 4, number
    one.ImageType = ["ORIGINAL", "PRIMARY", "CARDIAC", "NONE"]
    one.Rows, one.Columns = volume.data.shape[-2:]
    one.NumberOfFrames, one.SamplesPerPixel = len(frames), 1
    one.PhotometricInterpretation = "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
    geometry = volume.geometry
    directions = geometry.direction_matrix[:, :2].T.ravel().round(8).tolist()
    x, y, z = geometry.spacing
    one.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=directions)],
            PixelMeasuresSequence=[item(PixelSpacing=[y, x], SliceThickness=f"{z:.6f}")],
        )
    ]
    one.DimensionIndexSequence = [
        item(DimensionIndexPointer=pydicom.tag.Tag(keyword))
        for keyword in ("InStackPositionNumber", "TemporalPositionIndex")
    ]
    groups, stored = [], []
    for phase, slice_ in frames:
        position = geometry.positions((0, 0, slice_)).round(5).tolist()
        group = item(
            PlanePositionSequence=[item(ImagePositionPatient=position)], **time(phase, slice_)
        )
        data = volume.data[phase, slice_]
        if scale is not None:
            slope, intercept = scale(phase, slice_)
            group.PixelValueTransformationSequence = [
                item(RescaleSlope=slope, RescaleIntercept=intercept, RescaleType="US")
            ]
            data = (data - intercept) / slope
        groups.append(group)
        stored.append(data.astype("<i2"))
    one.PerFrameFunctionalGroupsSequence = groups
    one.PixelData = np.stack(stored).tobytes()
    for keyword, value in changes.items():
        setattr(one, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    one.save_as(path, enforce_file_format=True)


def shuffled(volume: Volume) -> list[Frame]:
    frames = list(np.ndindex(volume.data.shape[:2]))
    random.Random(3).shuffle(frames)
    return frames


@pytest.mark.parametrize("time", TIMES.values(), ids=TIMES)
@pytest.mark.parametrize("files", ["one", "slices", "phases", "images"])
def test_a_cine(cine: Volume, tmp_path: Path, time: Any, files: str) -> None:
    """In one file, or a file for each slice, phase or image; names and numbers tell nothing."""
    key = {
        "one": lambda frame: 0,
        "slices": lambda frame: frame[1],
        "phases": lambda frame: frame[0],
        "images": lambda frame: frame,
    }[files]
    frames = shuffled(cine)
    for number, wanted in enumerate(dict.fromkeys(map(key, frames))):
        chosen = [frame for frame in frames if key(frame) == wanted]
        write_enhanced(tmp_path / f"IM{number}", cine, chosen, time, number=number + 1)
    volume = read(tmp_path)
    np.testing.assert_array_equal(volume.data, cine.data)
    assert volume.data.dtype == np.int16
    assert volume.geometry.same_space(cine.geometry, 1e-4)
    assert volume.modality == "MR"
    assert volume.notes == ()
    assert volume.frame_step == (pytest.approx(0.04) if time is by_delay else None)
    assert volume.heart_cycles == ((0.85,) if time is by_delay else ())


def test_frames_without_times_keep_the_order_of_the_file(cine: Volume, tmp_path: Path) -> None:
    frames = [(phase, slice_) for slice_ in (2, 0, 1) for phase in range(3)]
    write_enhanced(tmp_path / "cine.dcm", cine, frames, lambda *_: {})
    np.testing.assert_array_equal(read(tmp_path / "cine.dcm").data, cine.data)


@pytest.mark.parametrize("apart", [False, True])
def test_a_static_stack(cine: Volume, tmp_path: Path, apart: bool) -> None:
    frames = [(0, slice_) for slice_ in (1, 2, 0)]
    for number, chosen in enumerate([[frame] for frame in frames] if apart else [frames]):
        write_enhanced(tmp_path / f"{number}.dcm", cine, chosen, by_delay, number=number)
    volume = read(tmp_path / "0.dcm")
    assert volume.axes == ("slices", "rows", "columns")
    np.testing.assert_array_equal(volume.data, cine.data[0])
    assert volume.geometry.same_space(cine.geometry, 1e-4)


def test_one_frame_alone(cine: Volume, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "one.dcm", cine, [(1, 1)], by_delay)
    volume = read(tmp_path / "one.dcm")
    np.testing.assert_array_equal(volume.data, cine.data[1, 1:2])
    np.testing.assert_allclose(
        volume.geometry.origin, cine.geometry.positions((0, 0, 1)), atol=1e-4
    )


@pytest.mark.parametrize(("slope", "intercept"), [(2.0, -10.0), (0.5, 0.0), (0.25, 1.5)])
def test_rescaling_of_frames(cine: Volume, tmp_path: Path, slope: float, intercept: float) -> None:
    even = cine.with_data(cine.data * 4)

    def scale(phase: int, slice_: int) -> tuple[float, float]:
        return (slope, intercept) if slice_ == 1 else (1.0, 0.0)

    real = even.data.astype(float)
    real[:, 1] = np.trunc((real[:, 1] - intercept) / slope) * slope + intercept
    write_enhanced(tmp_path / "cine.dcm", even, shuffled(even), by_delay, scale=scale)
    np.testing.assert_array_equal(read(tmp_path).data, real)


def test_a_shared_scale(cine: Volume, tmp_path: Path) -> None:
    path = tmp_path / "cine.dcm"
    write_enhanced(path, cine, shuffled(cine), by_delay)
    one = pydicom.dcmread(path)
    one.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence = [
        item(RescaleSlope=3, RescaleIntercept=-7)
    ]
    one.save_as(path)
    np.testing.assert_array_equal(read(path).data, cine.data.astype(int) * 3 - 7)


def test_more_is_brighter(cine: Volume, tmp_path: Path) -> None:
    changes = {"PhotometricInterpretation": "MONOCHROME1", "PixelRepresentation": 0}
    changes |= {"BitsStored": 12, "HighBit": 11}
    write_enhanced(tmp_path / "c.dcm", cine, shuffled(cine), by_delay, **changes)
    np.testing.assert_array_equal(read(tmp_path).data, 4095 - cine.data)


def test_compressed_frames(cine: Volume, tmp_path: Path) -> None:
    path = tmp_path / "cine.dcm"
    write_enhanced(path, cine, shuffled(cine), by_delay)
    one = pydicom.dcmread(path)
    one.compress(RLELossless)
    one.save_as(path)
    np.testing.assert_array_equal(read(path).data, cine.data)


def test_decoding_by_gdcm(cine: Volume, cases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_available(_syntax: Any) -> Any:
        return item(is_available=False)

    monkeypatch.setattr("pydicom.pixels.decoders.base.get_decoder", none_available)
    study = cases / "enhanced_multi_frame" / "study"
    np.testing.assert_array_equal(read(study).data, cine.data[:2])


def test_where_the_frames_are(cine: Volume, tmp_path: Path) -> None:
    frames = shuffled(cine)
    write_enhanced(tmp_path / "cine.dcm", cine, frames, by_index)
    found = find_series(tmp_path)
    assert found.shape == cine.data.shape
    for phase, slice_ in frames:
        index = found.planes[phase][slice_].index
        assert index is not None
        assert frames[index] == (phase, slice_)


def test_magnitude_and_phase_in_one_file(cine: Volume, tmp_path: Path) -> None:
    def kinds(phase: int, slice_: int) -> dict[str, Any]:
        component = item(ComplexImageComponent=("MAGNITUDE", "PHASE", "PHASE")[phase])
        return {"MRImageFrameTypeSequence": [component], **by_delay(phase, slice_)}

    write_enhanced(tmp_path / "flow.dcm", cine, shuffled(cine), kinds)
    with pytest.raises(FlomoError, match="mixes different images of the same slice"):
        read(tmp_path)


def test_a_frame_without_a_position(cine: Volume, tmp_path: Path) -> None:
    path = tmp_path / "cine.dcm"
    write_enhanced(path, cine, shuffled(cine), by_delay)
    one = pydicom.dcmread(path)
    del one.PerFrameFunctionalGroupsSequence[4].PlanePositionSequence
    one.save_as(path)
    with pytest.raises(FlomoError, match=r"cine.dcm frame 5 has no position in its header"):
        read(path)
    del one.PerFrameFunctionalGroupsSequence[4]
    one.save_as(path)
    with pytest.raises(FlomoError, match="it has 9 frames, but positions for 8"):
        read(path)


def test_pixels_cut_short(cine: Volume, tmp_path: Path) -> None:
    path = tmp_path / "cine.dcm"
    write_enhanced(path, cine, shuffled(cine), by_delay)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(FlomoError, match="damaged or truncated"):
        read(path)


def test_positions_as_in_itk(cine: Volume, tmp_path: Path) -> None:
    write_enhanced(tmp_path / "s.dcm", cine, [(0, slice_) for slice_ in range(3)], by_index)
    image = sitk.ReadImage(tmp_path / "s.dcm")
    geometry = read(tmp_path / "s.dcm").geometry
    np.testing.assert_allclose(image.GetOrigin(), geometry.origin, atol=1e-4)
    np.testing.assert_allclose(image.GetSpacing()[:2], geometry.spacing[:2], rtol=1e-6)
