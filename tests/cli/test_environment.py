"""Unusual folders, users, networks and signals."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from napari_flomo.volumes import Volume, read, write

FIELD = Path(__file__).resolve().parents[1] / "fieldtests"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def latin(tmp_path: Path) -> Path:
    """A folder whose name is not UTF-8."""
    name = os.fsencode(tmp_path) + b"/st\xf6r"
    try:
        os.mkdir(name)  # noqa: PTH102  (a name in bytes)
    except (OSError, UnicodeError):
        pytest.skip("this system has no such names")
    return Path(os.fsdecode(name))


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_folder_name_is_not_utf8(suffix: str, latin: Path, make_volume: Callable) -> None:
    volume = make_volume()
    write(volume, latin / f"heart{suffix}")
    back = read(latin / f"heart{suffix}")
    np.testing.assert_array_equal(back.data, volume.data)
    assert back.source == "heart"
    assert [path.name for path in latin.iterdir()] == [f"heart{suffix}"]


def test_detached_data_with_non_utf8_path(latin: Path) -> None:
    shutil.copytree(FIELD / "nrrd_list_of_files", latin / "nrrd")
    shutil.copytree(FIELD / "mhd_percent_in_name", latin / "mhd")
    assert int(read(latin / "nrrd" / "heart.nhdr").data.sum()) == 3237101
    clean = read(FIELD / "mhd_percent_in_name" / "clean.mha").data
    np.testing.assert_array_equal(read(latin / "mhd" / "BestDiast 77 %.mhd").data, clean)


@pytest.mark.parametrize("case", ["_clean/cine", "enhanced_multi_frame/study"])
def test_dicom_with_non_utf8_path(case: str, latin: Path) -> None:
    shutil.copytree(FIELD / case, latin / "study")
    np.testing.assert_array_equal(read(latin / "study").data, read(FIELD / case).data)


def test_segment_with_non_utf8_path(
    run_python: Run, latin: Path, model: Path, make_volume: Callable
) -> None:
    write(make_volume(rows=40, columns=44), latin / "stack.mha")
    command = ["-m", "napari_flomo", "segment", latin / "stack.mha", "-o", latin / "labels.mha"]
    done = run_python(*command, "--model", model, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"]["labels"].endswith("labels.mha")
    assert read(latin / "labels.mha").data.shape == (3, 40, 44)
    assert sorted(path.name for path in latin.iterdir()) == ["labels.mha", "stack.mha"]
    (latin / "stack.mha").unlink()
    done = run_python(*command, "--model", model)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "There is no file" in done.stderr


NOBODY = """
import os, pwd, sys
os.environ.pop("HOME", None)
for name in ("FLOMO_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
    os.environ.pop(name, None)
def unknown(number):
    raise KeyError(number)
pwd.getpwuid = unknown
from napari_flomo.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="others always have a home folder")
def test_user_without_home_folder(run_python: Run, stack: Path, model: Path) -> None:
    labels = stack.with_name("labels.nii.gz")
    done = run_python("-c", NOBODY, "segment", stack, "-o", labels, "--model", model)
    assert done.returncode == 0, done.stderr
    assert labels.exists()
    assert run_python("-c", NOBODY, "models", "list").returncode == 0
    data = FIELD / "dataset_json_with_bom" / "Dataset"
    done = run_python("-c", NOBODY, "corrections", "import", data)
    assert done.returncode == 2
    assert "no home folder" in done.stderr
    assert "Traceback" not in done.stderr


PULL = """
import os, sys
os.environ[{variable!r}] = {address!r}
os.environ.pop("HF_HUB_OFFLINE", None)
sys.modules["socksio"] = None
from napari_flomo.cli import main
sys.exit(main(["models", "pull", "hf:org/name"]))
"""
UNUSABLE = "check HF_ENDPOINT, HTTPS_PROXY, HTTP_PROXY and ALL_PROXY"


@pytest.mark.parametrize(
    ("variable", "address", "said"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "pip install socksio"),
        ("HTTPS_PROXY", "socks5h://127.0.0.1:9", "pip install socksio"),
        ("ALL_PROXY", "gopher://127.0.0.1:9", UNUSABLE),
    ],
)
def test_unusable_proxies(run_python: Run, variable: str, address: str, said: str) -> None:
    done = run_python("-c", PULL.format(variable=variable, address=address))
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_empty_import(run_python: Run, tmp_path: Path, make_volume: Callable[..., Volume]) -> None:
    shutil.copytree(FIELD / "dataset_json_with_bom" / "Dataset", tmp_path / "Dataset")
    command = ["-m", "napari_flomo", "corrections", "import", "Dataset", "--store", "store"]
    done = run_python(*command)
    assert (done.returncode, "Added 1" in done.stdout) == (0, True), done.stderr
    assert run_python(*command).returncode == 0  # all known already is not a failure
    for path in (tmp_path / "Dataset" / "imagesTr").iterdir():
        write(make_volume(rows=21), path)  # its labels lie elsewhere now
    for options in ([], ["--json"]):
        done = run_python(*command[:-1], "other", *options)
        assert done.returncode == 2
        assert "p001 was left out" in done.stderr
        assert "Nothing was imported" in done.stderr
        if options:
            assert json.loads(done.stdout)["import"]["added"] == 0
