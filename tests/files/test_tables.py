"""JSON, YAML and tables as editors and spreadsheets save them."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_flomo.schema import SchemaError, read_json
from napari_flomo.tables import read_table, read_text

ROWS = [{"case": "a", "ml": "1.5", "note": "x, y"}, {"case": "ö", "ml": "2", "note": ""}]
COMMAS = 'case,ml,note\na,1.5,"x, y"\nö,2,\n'
SEMICOLONS = "case;ml;note\na;1,5;x, y\nö;2;\n"


@pytest.mark.parametrize(
    "text",
    [
        COMMAS,
        SEMICOLONS,
        "sep=;\n" + SEMICOLONS,
        "SEP=,\n" + COMMAS,
        "case\tml\tnote\na\t1.5\tx, y\nö\t2\t\n",
        SEMICOLONS + ";;\n;;\n",
        "\n" + COMMAS,
        COMMAS.replace("case,ml", ' case ,"ml"'),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_tables(text: str, encoding: str, line_end: str, tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(text.replace("\n", line_end).encode(encoding))
    assert read_table(path) == ROWS


def test_missing_and_surplus_cells(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('a,b\n1\n2,3,4\n"two\nlines",5\n')
    assert read_table(path) == [{"a": "1"}, {"a": "2", "b": "3"}, {"a": "two\nlines", "b": "5"}]
    path.write_text("")
    assert read_table(path) == []


def test_commas_between_digits_are_kept_without_semicolons(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text('a,b\n"1,5",x\n')
    assert read_table(path) == [{"a": "1,5", "b": "x"}]
    path.write_text("a;b\nslices 1,5;1,5,6\n")
    assert read_table(path) == [{"a": "slices 1,5", "b": "1,5,6"}]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "dataset.json"
    path.write_bytes('{\r\n  "labels": {"Höhle": 1}\r\n}\r\n'.encode(encoding))
    assert read_json(path) == {"labels": {"Höhle": 1}}


def test_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("case\nö\n".encode("latin-1"))
    with pytest.raises(ValueError, match="utf-8"):
        read_text(path)
    with pytest.raises(SchemaError, match="not JSON"):
        read_json(path)
