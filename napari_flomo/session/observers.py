"""Functions to call when something changes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, ParamSpec

P = ParamSpec("P")

_LOG = logging.getLogger(__name__)


class Observers(Generic[P]):
    """Functions that are called with the same arguments, in the order in which they came."""

    def __init__(self) -> None:
        self._all: list[Callable[P, object]] = []

    def add(self, observer: Callable[P, object]) -> Callable[[], None]:
        """Call ``observer`` from now on; returns a function that ends it."""
        self._all.append(observer)

        def remove() -> None:
            with suppress(ValueError):
                self._all.remove(observer)

        return remove

    def notify(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Call all observers; one that raises does not keep the event from the others."""
        for observer in tuple(self._all):
            try:
                observer(*args, **kwargs)
            except Exception:
                _LOG.exception("An observer failed")

    def clear(self) -> None:
        """Remove all observers."""
        self._all.clear()
