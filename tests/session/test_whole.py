"""The bundled model on a real heart, through the real worker: the same labels as everywhere."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_flomo import cli
from napari_flomo.errors import Cancelled
from napari_flomo.jobs import Worker
from napari_flomo.session import Scope, Session, SliceIndex, State
from napari_flomo.volumes import Volume, read, write

MODEL = "flomo-b0-acdc"


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """A session with a worker of its own, as a viewer makes it."""
    session = Session()
    yield session
    session.close()


@pytest.fixture
def heart(repository: Path) -> Volume:
    """Four slices of the Sunnybrook volume, in the middle of the ventricle."""
    volume = read(repository / "docs" / "samples" / "sunnybrook_ed.nii.gz")
    return replace(volume, data=volume.data[4:8])


@pytest.mark.slow
def test_a_session_and_the_command_line_agree(
    session: Session, heart: Volume, tmp_path: Path
) -> None:
    write(heart, tmp_path / "heart.nii.gz")
    arguments = [str(tmp_path / "heart.nii.gz"), "-o", str(tmp_path / "labels.nii.gz")]
    arguments += ["--uncertainty", str(tmp_path / "uncertainty.nii.gz"), "--device", "cpu", "-q"]
    assert cli.main(["segment", *arguments]) == 0
    by_command = read(tmp_path / "labels.nii.gz")

    key = session.add(read(tmp_path / "heart.nii.gz"), "heart")
    session.segment(key, MODEL, "cpu").result(240)
    image = session.image(key)
    assert set(np.unique(by_command.data)) == {0, 1, 2, 3}
    assert image.labels.data.dtype == by_command.data.dtype
    assert np.array_equal(image.labels.data, by_command.data)
    assert image.labels.geometry.same_space(by_command.geometry)
    uncertainty = read(tmp_path / "uncertainty.nii.gz").data
    # Another process may round otherwise in the last place.
    assert np.allclose(
        image.segmentation.uncertainty["entropy"].data, uncertainty, rtol=0, atol=1e-6
    )
    assert session.measures(key).mass_g > 20

    # Slice by slice it comes to the same.
    again = session.add(heart, "again")
    for number in (2, 0):
        session.segment(again, MODEL, "cpu", Scope(slices=(number,))).result(240)
    part = session.image(again).labels.data
    assert np.array_equal(part[[0, 2]], by_command.data[[0, 2]])
    assert not part[[1, 3]].any()
    assert {place.slice for place in session.image(again).review.order} == {0, 2}


@pytest.mark.slow
def test_cancel_within_a_second(session: Session, heart: Volume) -> None:
    """Early, while torch may still be loading, and late, while the network computes."""
    cine = Volume(
        np.repeat(heart.data[np.newaxis], 20, 0), heart.geometry, ("frames", *heart.axes), "MR"
    )
    key = session.add(cine, "cine")
    for done in (-1, 1):
        run = session.segment(key, MODEL, "cpu")
        end = time.monotonic() + 240
        while run.progress.done < done:
            assert time.monotonic() < end
            time.sleep(0.01)
        start = time.monotonic()
        run.cancel()
        with pytest.raises(Cancelled):
            run.result(10)
        assert time.monotonic() - start < 1.0
        assert session.image(key).labels is None
    session.remove(key)


@pytest.mark.slow
def test_a_missing_model_and_a_bundled_one(session: Session, heart: Volume) -> None:
    key = session.add(heart, "heart")
    run = session.segment(key, "flomo-b9")
    assert run.state is not State.DONE
    with pytest.raises(Exception, match="flomo-b9"):
        run.result(240)
    assert run.problem.kind == "missing_model"
    folder = session.pull(MODEL).result(60)  # bundled: there already
    assert (Path(folder) / "card.json").is_file()
    session.segment(key, MODEL, "cpu", Scope(slices=(1,))).result(240)
    assert session.next_slice(key) == SliceIndex(0, 1)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX signals")
def test_preload(heart: Volume) -> None:
    """A preloaded worker answers a first click like a later one; unknown models do no harm."""
    with Worker() as worker:
        worker.preload("no-such-model")
        worker.preload(MODEL, "cpu")
        session = Session(worker)
        key = session.add(heart, "heart")
        session.segment(key, MODEL, "cpu", Scope(slices=(0,))).result(240)
        assert session.image(key).labels.data[0].any()
