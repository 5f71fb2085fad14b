"""Slicer's own MRML classes for the tests, and images in its scene.

Without slicer-core these tests skip with the reason: ``pip install -c constraints-ci.txt
".[slicer-test]"``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from napari_flomo.jobs import Worker, python_spawner
from napari_flomo.volumes import Volume

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = REPOSITORY / "slicer_extension" / "FLoMoSegmentation"

if find_spec("slicer_core") is None:
    # The modules import slicer and vtk; test_available reports why they are skipped.
    collect_ignore = [
        path.name
        for path in Path(__file__).parent.glob("test_*.py")
        if path.name != "test_available.py"
    ]
else:
    sys.path.insert(0, str(MODULE))  # as Slicer does with the folder of a module
    sys.path.insert(0, str(Path(__file__).parent))
    import shim
    from helpers import add_cine, add_volume, finish, oblique_heart, run

    shim.program()


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for corrections and preferences of the test."""
    home = tmp_path / "home"
    monkeypatch.setenv("FLOMO_HOME", str(home))
    return home


@pytest.fixture
def program() -> Iterator[Any]:
    """A Slicer with an empty scene and two slice views."""
    running = shim.program()
    running.close_scene()
    running.slice_view("Red")
    running.slice_view("Green")
    yield running
    running.close_scene()


@pytest.fixture
def oblique() -> Volume:
    """A small heart on an oblique, left-handed, anisotropic grid."""
    return oblique_heart()


@pytest.fixture(scope="session")
def tiny_worker() -> Iterator[Worker]:
    """A worker with a real child process, whose network is a threshold."""
    child = REPOSITORY / "tests" / "session" / "tiny_child.py"

    class Shared(Worker):
        def close(self) -> None:
            """Do nothing: the next test uses the child, too."""

    worker = Shared(python_spawner(arguments=[str(child)]))
    yield worker
    Worker.close(worker)


@pytest.fixture(scope="module")
def real_worker() -> Iterator[Worker]:
    """The worker of the module, with torch and the real networks."""
    from FLoMoSegmentationLib.worker_process import make_worker

    worker = make_worker()
    close, worker.close = worker.close, lambda: None
    yield worker
    close()


@pytest.fixture
def driver(program: Any, tiny_worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module's panels with a fast worker and model."""
    from driver import ModuleDriver

    made = ModuleDriver(tiny_worker, monkeypatch)
    made.pick_model("toy")
    yield made
    made.close()


@pytest.fixture
def reviewed_cine(driver: Any, make_cine: Callable[..., Volume]) -> Any:
    """The `OpenImage` of a cine of three frames and slices that the module segmented."""
    driver.choose(add_cine(make_cine())[0])
    driver.panel.segment.ui.allScope.setChecked(True)
    driver.click(driver.panel.segment.ui.segmentButton)
    driver.wait(lambda: driver.panel.logic.session.running is None)
    return driver.panel.logic.session.image(driver.panel.current.key)


@pytest.fixture
def make_logic(program: Any, tiny_worker: Worker) -> Iterator[Callable[..., Any]]:
    """Make the logic of the module with a fast worker."""
    from FLoMoSegmentationLib.logic import Logic
    from FLoMoSegmentationLib.worker_process import CallQueue

    made: list[Any] = []

    def make(worker: Worker | None = None, **options: Any) -> Any:
        logic = Logic(worker or tiny_worker, CallQueue(), **options)
        made.append(logic)
        return logic

    yield make
    for logic in made:
        finish(logic)
        logic.close()


@pytest.fixture
def segmented(make_logic: Callable[..., Any], oblique: Volume) -> tuple[Any, Any, Any]:
    """A logic, the node of a heart that it segmented, and its `SceneImage`."""
    logic, node = make_logic(), add_volume(oblique)
    return logic, node, run(logic, node)
