"""Runs the module's own test in a real Slicer from CTest."""

from __future__ import annotations

import unittest

import FLoMoSegmentation


class FLoMoSegmentationProgramTest(unittest.TestCase):
    """The steps of ``FLoMoSegmentationLib.selftest``."""

    def test_program(self) -> None:
        """Run what only the real program can prove."""
        FLoMoSegmentation.FLoMoSegmentationTest().runTest()
