"""What several rooms' tests need: the reference data and small synthetic images."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_flomo import DEFAULT_MODEL
from napari_flomo.corrections import Correction, CorrectionStore
from napari_flomo.models import IntensityRule, Label, ModelCard, Preprocessing, info
from napari_flomo.volumes import Geometry, Volume

REPOSITORY = Path(__file__).resolve().parents[1]
TRAINING = "tests/session/fake_training.py"

# Tests of engines ask for them; elsewhere none is prepared beside what is tested.
os.environ.setdefault("FLOMO_ENGINE", "fast")

# A run in the background of a shell, or below nohup, ignores signals, and so would the programs
# that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where files run side by side, begin with those that take long.

    Lest one process works alone at the end.
    """
    if hasattr(config, "workerinput"):  # it is xdist that tells its processes something
        long = {item.path for item in items if item.get_closest_marker("timeout")}
        items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def cases() -> Path:
    """Images as users met them, each in a folder of its own; ``_clean`` has the originals."""
    return REPOSITORY / "tests" / "fieldtests"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data and goldens; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("FLOMO_SHARED") or REPOSITORY.parent / "shared")
    if not folder.is_dir():
        pytest.skip(f"the reference data folder {folder} is absent (set FLOMO_SHARED)")
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """A local Hub (see ``hub_server.py``), the only one in the environment; an empty cache."""
    from huggingface_hub.utils import close_session

    path = REPOSITORY / "tests" / "models" / "hub_server.py"
    spec = importlib.util.spec_from_file_location("flomo_tests_hub_server", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    offline = ("FLOMO_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    for name in (*offline, "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")  # for child processes
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    monkeypatch.setenv("FLOMO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf_home"))
    with module.Hub() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", server.token)
        close_session()
        yield server
        close_session()


@pytest.fixture
def start_python(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start fresh interpreters with the import path of this one; they end with the test."""
    started = []

    def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        defaults = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [sys.executable, *map(str, arguments)]
        options = defaults | options
        started.append(subprocess.Popen(command, cwd=tmp_path, env=environment, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        with process:  # closes its pipes
            process.wait()


@pytest.fixture
def run_python(start_python: Callable[..., Any]) -> Callable[..., Any]:
    """Run a fresh interpreter, see `start_python`, and return the completed process."""

    def run(*arguments: object, input: str = "", **options: Any) -> Any:
        process = start_python(*arguments, stdin=subprocess.PIPE, **options)
        out, err = process.communicate(input, timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run


@pytest.fixture
def make_volume() -> Callable[..., Volume]:
    """Make a small image whose value tells the index of each voxel, on a turned, shifted grid."""

    def make(
        *,
        frames: int | None = None,
        slices: int = 3,
        rows: int = 20,
        columns: int = 24,
        spacing: tuple[float, float, float] = (1.25, 1.5, 8.0),
        dtype: str = "int16",
    ) -> Volume:
        shape = (slices, rows, columns) if frames is None else (frames, slices, rows, columns)
        axes = (
            ("slices", "rows", "columns")
            if frames is None
            else ("frames", "slices", "rows", "columns")
        )
        data = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        turn = np.deg2rad(30)
        cos, sin = np.cos(turn), np.sin(turn)
        direction = (cos, -sin, 0.0, sin, cos, 0.0, 0.0, 0.0, 1.0)
        geometry = Geometry(spacing, origin=(-12.5, 40.0, 7.25), direction=direction)
        return Volume(data, geometry, axes, modality="MR", source="synthetic")

    return make


@pytest.fixture
def make_heart() -> Callable[..., Volume]:
    """Make a short-axis stack in miniature: a bright cavity in a grey wall on a dark ground."""

    def make(slices: int = 3, size: int = 64, seed: int = 0) -> Volume:
        noise = np.random.default_rng(seed).normal(0, 6, (slices, size, size))
        row, column = np.mgrid[:size, :size]
        radius = np.hypot(row - size / 2, column - size / 2)
        image = 60 + noise
        image[:, radius < size * 0.28] += 40
        image[:, radius < size * 0.2] += 120
        geometry = Geometry((1.5, 1.5, 8.0), origin=(1.0, 2.0, 3.0))
        return Volume(image.clip(0).astype(np.int16), geometry, modality="MR", source="heart")

    return make


@pytest.fixture(scope="session")
def make_card() -> Callable[..., ModelCard]:
    """Make the card of a small network with two structures, with other fields if given."""

    def make(**changes: Any) -> ModelCard:
        fields: dict[str, Any] = {
            "name": "small",
            "network": "flomo-b0",
            "network_arguments": {},
            "in_channels": 1,
            "input_kind": "stack",
            "labels": (
                Label(0, "background", "#000000"),
                Label(1, "RV", "#1f77b4"),
                Label(5, "LV", "#d62728"),  # codes need not be channel numbers
            ),
            "preprocessing": Preprocessing(2.0, 48, IntensityRule("percentile", 1, 99)),
            "activation": "softmax",
            "licence": "CC0-1.0",
            "training_data": "none",
        }
        return ModelCard(**(fields | changes))

    return make


@pytest.fixture
def make_cine(make_heart: Callable[..., Volume]) -> Callable[..., Volume]:
    """Make a heart whose cavity is largest in frame 1 and smallest in frame 2."""

    def make() -> Volume:
        row, column = np.mgrid[:48, :48]
        radius = np.hypot(row - 24, column - 24)
        cavity = np.array([10, 12, 6])[:, None, None, None]
        image = 60 + 40 * (radius < 15) + 120 * (radius < cavity)
        stack = make_heart(slices=1)
        data = np.repeat(image.astype(np.int16), 3, axis=1)
        return Volume(data, stack.geometry, ("frames", "slices", "rows", "columns"), modality="MR")

    return make


@pytest.fixture
def make_ventricles(make_cine: Callable[..., Volume]) -> Callable[..., Volume]:
    """Make a cine with a right ventricle to the left of a wall that is thicker below."""

    def make() -> Volume:
        cine = make_cine()
        row, column = np.mgrid[:48, :48] - 24
        radius = np.hypot(row, column)
        cine.data[..., (radius >= 15) & (abs(row) < 9) & (column < 0) & (column > -22)] = -50
        cine.data[..., (radius >= 15) & (radius < 19) & (abs(column) < row)] = 100
        return cine

    return make


@pytest.fixture
def trainer(tmp_path: Path) -> str:
    """A program in the place of Python that learns nothing, quickly; see `fake_training`."""
    if sys.platform == "win32":
        pytest.skip("the stand-in for Python is a shell script")
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{REPOSITORY / TRAINING}" "$@"\n')
    script.chmod(0o755)
    return str(script)


@pytest.fixture
def corrections(tmp_path: Path, make_heart: Callable[..., Volume]) -> CorrectionStore:
    """A store of two patients with five accepted slices of the bundled model's structures."""
    folder = tmp_path / "home" / "corrections"
    folder.parent.mkdir(parents=True, exist_ok=True)
    store = CorrectionStore.open(folder, create=True)
    _state, card = info(DEFAULT_MODEL)
    codes = {label.code: label.name for label in card.labels if label.code}
    for seed in range(2):
        image = make_heart(slices=4, seed=seed)
        labels = image.with_data((image.data > 150).astype(np.uint8))
        seen = [(0, number) for number in range(2 + seed % 2)]
        state = {"seen": seen, "state": "accepted", "proposed": labels}
        store.add(Correction(image, labels, codes, **state))
    return store


@pytest.fixture(scope="session")
def write_series() -> Callable[..., dict[tuple[int, int], str]]:
    """The writer of DICOM series: turned, with a patient, files in disorder. Needs pydicom."""
    return _write_series


def _write_series(
    folder: Path, data: NDArray[np.int16], *, seed: int = 0, **changes: Any
) -> dict[tuple[int, int], str]:
    """Write ``(frames, slices, rows, columns)``; return the SOP instance UID of each image.

    ``changes`` are elements of every file by keyword; None leaves one out. Needs pydicom.
    """
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

    angle = np.deg2rad(30)
    row = np.array([np.cos(angle), np.sin(angle), 0.0])
    column = np.array([-np.sin(angle) * 0.6, np.cos(angle) * 0.6, -0.8])
    normal = np.cross(row, column)
    folder.mkdir(parents=True, exist_ok=True)
    shared = {name: generate_uid() for name in ("study", "series", "place")}
    order = np.random.default_rng(seed).permutation(data.shape[0] * data.shape[1])
    uids = {}
    for frame, number in np.ndindex(data.shape[:2]):
        one = pydicom.Dataset()
        one.file_meta = FileMetaDataset()
        one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = MRImageStorage
        one.SOPInstanceUID = uids[frame, number] = generate_uid()
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        one.PatientName, one.PatientID, one.PatientSex = "Doe^Jane", "0815", "F"
        one.PatientBirthDate, one.StudyDate, one.StudyTime = "19700131", "20200102", "101500"
        one.AccessionNumber, one.StudyID, one.Modality = "A1", "S1", "MR"
        one.ReferringPhysicianName = ""
        one.StudyInstanceUID, one.SeriesInstanceUID = shared["study"], shared["series"]
        one.FrameOfReferenceUID, one.SeriesNumber = shared["place"], 7
        one.InstanceNumber = frame * data.shape[1] + number + 1
        one.TriggerTime = frame * 40.0
        one.ImageOrientationPatient = [*row.round(6), *column.round(6)]
        one.ImagePositionPatient = list(
            (np.array([5.0, -40.0, 12.0]) + 8 * number * normal).round(4)
        )
        one.PixelSpacing, one.SliceThickness = [1.5, 1.25], 8.0
        one.Rows, one.Columns = data.shape[2:]
        one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
        one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
        one.PixelData = data[frame, number].astype("<i2").tobytes()
        for keyword, value in changes.items():
            if value is None:
                delattr(one, keyword)
            else:
                setattr(one, keyword, value() if callable(value) else value)
        name = f"{order[frame * data.shape[1] + number]:04}.dcm"
        one.save_as(folder / name, enforce_file_format=True)
    return uids


@pytest.fixture
def grow(tmp_path: Path) -> Callable[..., Path]:
    """Make files below a folder, each with the content that is given or its own name."""

    def make(*names: str, folder: str = "images", content: bytes | None = None) -> Path:
        root = tmp_path / folder
        root.mkdir(exist_ok=True)
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode() if content is None else content)
        return root

    return make


@pytest.fixture
def dicom() -> bytes:
    """The beginning of a DICOM file."""
    return bytes(128) + b"DICM" + bytes(64)
