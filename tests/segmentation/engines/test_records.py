"""The cache of engines: damaged files count as missing, and graphs are verified."""

from __future__ import annotations

import time

from engine_fakes import CPU, SIZE, Fake, slow_and_quick

from napari_flomo.segmentation.engines import records
from napari_flomo.segmentation.engines.records import Trial


def test_there_and_back():
    trials = {"fast": Trial(0.1), "openvino": Trial(0.05, 3.0, 0.2, 1e-6)}
    records.write("a", "openvino", trials, {"openvino": b"graph"})
    found = records.read("a")
    assert found.trials == trials
    assert records.read_graph("a", found, "openvino") == b"graph"
    assert records.read("b") is None


def test_damaged_files_count_as_missing(home):
    found = records.write("a", "openvino", {"openvino": Trial(1.0)}, {"openvino": b"graph"})
    (home / "engines" / "a.openvino.graph").write_bytes(b"other")
    assert records.read_graph("a", found, "openvino") is None
    for text in ("", "{", "[]", '{"chosen": "x", "trials": {}, "graphs": {}}', "\xff"):
        (home / "engines" / "a.json").write_text(text, encoding="utf-8")
        assert records.read("a") is None


def test_missing_graph(fakes, make, network, images, home):
    maker = slow_and_quick(network)

    class WithGraph(Fake):
        def dump(self):
            return b"graph"

    maker["openvino"] = lambda: WithGraph("openvino", lambda x: network(x).logits, delay=0.001)
    made = fakes(**maker)
    run = make("auto")
    run(images)
    run.find_fastest()
    assert [engine.graph for engine in made["openvino"]] == [None, b"graph"]
    another = make("auto")
    another.expect(100000)
    another(images)
    assert another.report()["name"] == "openvino"
    assert made["openvino"][-1].graph == b"graph"
    next((home / "engines").glob("*.graph")).unlink()
    third = make("auto")
    third.expect(100000)
    third(images)
    assert third.report()["name"] == "fast"


def test_unwritable_folder(home):
    home.write_text("a file where the folder should be")
    assert records.write("a", "fast", {"fast": Trial(1.0)}, {}).chosen == "fast"
    assert records.read("a") is None
    assert records.all_records() == []


def test_old_records_are_removed(home, monkeypatch):
    monkeypatch.setattr(records, "KEPT_RECORDS", 2)
    for number in range(4):
        records.write(str(number), "fast", {"fast": Trial(1.0)}, {"fast": b"x"})
        time.sleep(0.02)
    left = sorted(path.name for path in (home / "engines").iterdir())
    assert left == ["2.fast.graph", "2.json", "3.fast.graph", "3.json"]


def test_key():
    facts = {
        "weights": "0", "network": "n", "channels": 1, "size": SIZE, "asked": "auto",
        "threads": 1, "device": CPU, "engines": ["fast"],
    }  # fmt: skip
    names = {records.key(**facts)}
    changes = [
        {"weights": "1"}, {"size": (16, 32)}, {"threads": 2}, {"engines": []},
        {"network": "m"}, {"asked": "fastest"}, {"channels": 3},
    ]  # fmt: skip
    names |= {records.key(**(facts | change)) for change in changes}
    assert len(names) == len(changes) + 1
    assert records.processor()
