"""Compiled graphs in the cache: damaged, of another version or processor, shared, read-only."""

from __future__ import annotations

import os

import numpy as np
import pytest
from engine_fakes import SIZE, need

from napari_flomo.segmentation.engines import ENGINES
from napari_flomo.segmentation.engines.onnx import to_onnx

RUN = """
import sys
from pathlib import Path
import numpy as np
from napari_flomo.segmentation.engines import ENGINES
from napari_flomo.segmentation.engines.openvino import OpenVinoEngine
images = np.load(sys.argv[2])
engine = OpenVinoEngine.of_graph(ENGINES["openvino"], Path(sys.argv[1]), images.shape[2:], 1)
np.save(sys.argv[3], engine(images).logits)
"""


@pytest.fixture
def graph(tmp_path, network):
    need("openvino")
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(network, 1, SIZE, single=True))
    return path


@pytest.fixture
def run(graph, images):
    """Compile the graph, or read it from the cache, and run it."""
    from napari_flomo.segmentation.engines.openvino import OpenVinoEngine

    return lambda: OpenVinoEngine.of_graph(ENGINES["openvino"], graph, SIZE, 1)(images).logits


def replace(content, old, new):
    assert old in content
    return content.replace(old, new)


def weights_changed(content):
    """Change bytes that no parser looks at."""
    at = len(content) // 2
    return content[:at] + bytes(byte ^ 255 for byte in content[at : at + 8]) + content[at + 8 :]


HARMS = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "zeros": lambda content: bytes(len(content)),
    "weights": weights_changed,
    "version": lambda content: replace(content, b"OV_VERSION:2", b"OV_VERSION:1"),
    "processor": lambda content: replace(content, b"isa=", b"isa=?"),
}


@pytest.mark.parametrize(
    ("harm", "with_checksum"),
    [(harm, False) for harm in HARMS] + [(harm, True) for harm in HARMS if harm != "weights"],
)
def test_harmed_file_is_compiled_again(run, home, harm, with_checksum):
    """With a checksum of its own it is one that OpenVINO itself has to reject."""
    from napari_flomo.segmentation.engines.compiled_cache import add_checksums

    truth = run()
    (file,) = home.rglob("*.blob")
    harmed = HARMS[harm](file.read_bytes())
    file.chmod(0o600)
    file.write_bytes(harmed)
    if with_checksum:
        file.with_suffix(".sha256").unlink()
        add_checksums(file.parent)
    assert np.array_equal(run(), truth)
    assert np.array_equal(run(), truth)
    (file,) = home.rglob("*.blob")
    assert file.read_bytes() != harmed


def test_second_start_reads_the_cache(run, home):
    truth = run()
    (file,) = home.rglob("*.blob")
    written = file.stat().st_mtime_ns
    assert np.array_equal(run(), truth)
    assert file.stat().st_mtime_ns == written


@pytest.mark.parametrize("fault", ["read-only", "a file"])
def test_cache_that_cannot_be_written(run, home, fault):
    if fault == "read-only":
        if os.name == "nt" or os.geteuid() == 0:
            pytest.skip("this user may write everywhere")
        home.mkdir(mode=0o500)
    else:
        home.write_text("")
    truth = run()
    assert np.array_equal(run(), truth)
    assert not home.is_dir() or not any(home.iterdir())


def test_processes_at_once(start_python, graph, images, tmp_path, *, run, home):
    np.save(tmp_path / "images.npy", images)
    outs = [tmp_path / f"{number}.npy" for number in range(3)]
    started = [start_python("-c", RUN, graph, tmp_path / "images.npy", out) for out in outs]
    for process in started:
        assert process.wait(120) == 0, process.stderr.read()
    assert all(np.array_equal(np.load(out), run()) for out in outs)
    (file,) = home.rglob("*.blob")
    assert file.with_suffix(".sha256").exists()
