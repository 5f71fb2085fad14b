"""Says why the tests of the Slicer module are left out, where they are."""

from __future__ import annotations

from importlib.util import find_spec

import pytest


def test_slicer_core_is_installed() -> None:
    if find_spec("slicer_core") is None:
        pytest.skip(
            'slicer-core is not installed: pip install -c constraints-ci.txt ".[slicer-test]"'
        )
    import slicer

    assert slicer.vtkMRMLScene().GetNumberOfNodes() == 0
