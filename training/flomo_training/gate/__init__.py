"""The gate: decides whether a tuned model may replace its parent."""

from __future__ import annotations

from flomo_training.gate.cases import Fold, HeldOut
from flomo_training.gate.report import GateReport
from flomo_training.gate.rules import Rules, read_rules
from flomo_training.gate.run import check_pair, run_gate

__all__ = ["Fold", "GateReport", "HeldOut", "Rules", "check_pair", "read_rules", "run_gate"]
