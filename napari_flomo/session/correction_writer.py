"""Write accepted slices to the store of corrections in a background thread."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from napari_flomo.corrections import CorrectionStore, default_store
from napari_flomo.errors import FlomoError
from napari_flomo.session import corrections_sync
from napari_flomo.session.corrections_sync import ReviewSnapshot
from napari_flomo.session.earlier_labels import EarlierLabels
from napari_flomo.session.events import CorrectionKept
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.observers import Observers

_LOG = logging.getLogger(__name__)

SETTLE_SECONDS = 0.4
"""Slices that are accepted in quick succession become one revision."""

RETRY_SECONDS = 20.0
"""After a failure, and with every further acceptance, it is tried again."""

CLOSE_SECONDS = 10.0
"""How long `CorrectionWriter.close` waits for the last revision."""


class CorrectionWriter:
    """Writes accepted slices to a `CorrectionStore` in a background thread.

    Every accepted or reopened slice leads to a revision; changes of one image in quick succession
    become one. The thread starts with the first change.

    Parameters
    ----------
    folder
        Returns the folder of the store; created with the first revision.
    reader
        Returns the alias of the person.
    wanted
        Returns False to store nothing.
    software
        Versions of the viewer: ``{"napari": "0.9.2"}``.
    settle_seconds, retry_seconds
        See `SETTLE_SECONDS` and `RETRY_SECONDS`.
    """

    def __init__(
        self,
        folder: Callable[[], Path] = default_store,
        *,
        reader: Callable[[], str] = lambda: "reader",
        wanted: Callable[[], bool] = lambda: True,
        software: Mapping[str, str] | None = None,
        settle_seconds: float = SETTLE_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
    ) -> None:
        self._folder = folder
        self._reader = reader
        self._wanted = wanted
        self._software = dict(software or {})
        self._settle = settle_seconds
        self._retry = retry_seconds
        self._changed = threading.Condition()
        self._waiting: dict[str, ReviewSnapshot] = {}
        self._last: dict[str, ReviewSnapshot] = {}
        self._slices: dict[str, int] = {}
        self._counted: dict[str, float] = {}
        self._listeners = Observers[[CorrectionKept]]()
        self._thread: threading.Thread | None = None
        self._closing = False

    def listen(self, listener: Callable[[CorrectionKept], None]) -> None:
        """Call ``listener(kept)``, from the thread, after every write or failure."""
        self._listeners.add(listener)

    def keep(self, image: OpenImage) -> None:
        """Write the accepted slices of an image soon; does not block."""
        if not self._wanted():
            return
        snapshot = self._last[image.key] = ReviewSnapshot.of(image, self._last.get(image.key))
        with self._changed:
            if self._closing:
                return
            self._waiting[image.key] = snapshot
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="flomo store", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def find_earlier(
        self, image: OpenImage, found: Callable[[EarlierLabels | FlomoError], None]
    ) -> None:
        """Search, in a thread, for slices of an image that were accepted on an earlier day.

        ``found`` is called from the thread, only if there are any or the store cannot be read.
        """

        def work() -> None:
            try:
                earlier = corrections_sync.find_earlier(image, self._folder(), self._reader())
            except FlomoError as error:
                found(error)
            else:
                if earlier is not None:
                    found(earlier)

        threading.Thread(target=work, name="flomo earlier", daemon=True).start()

    @property
    def waiting(self) -> int:
        """Number of images that are not written yet."""
        with self._changed:
            return len(self._waiting)

    def flush(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Wait until all is written; return False after a timeout. Not for a viewer's thread."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, timeout)

    def close(self, timeout: float = CLOSE_SECONDS) -> bool:
        """Write the rest, retrying failures once; return True if all is written."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout)
        with self._changed:
            return not self._waiting

    def _work(self) -> None:
        pause = 0.0
        while True:
            with self._changed:
                if pause:  # it failed: wait, unless something changes
                    known = dict(self._waiting)
                    self._changed.wait_for(lambda: self._closing or self._waiting != known, pause)  # noqa: B023
                self._changed.wait_for(lambda: self._closing or bool(self._waiting))
                if not self._waiting:
                    return
                if not self._closing:
                    self._changed.wait_for(lambda: self._closing, self._settle)
                todo = list(self._waiting.items())
                last = self._closing
            failed = [key for key, snapshot in todo if not self._attempt(key, snapshot)]
            pause = self._retry if failed else 0.0
            if last and failed:
                return

    def _attempt(self, key: str, snapshot: ReviewSnapshot) -> bool:
        """Write one snapshot and report the result; return True if it was written."""
        problem = None
        try:
            self._slices[key] = self._write(key, snapshot)
        except FlomoError as error:
            problem = str(error)
        except Exception as error:  # the thread must continue, and the user must know
            _LOG.exception("A correction could not be stored")
            problem = f"unexpected {type(error).__name__}; the log has the details."
        with self._changed:
            if problem is None and self._waiting.get(key) is snapshot:
                del self._waiting[key]
                self._changed.notify_all()
        kept = CorrectionKept(key, self._slices.get(key, 0), problem)
        self._listeners.notify(kept)
        return problem is None

    def _write(self, key: str, snapshot: ReviewSnapshot) -> int:
        """Add a revision; return how many slices are accepted in it."""
        began = time.monotonic()
        store = CorrectionStore.open(self._folder(), create=True)
        more = max(snapshot.seconds - self._counted.get(key, 0.0), 0.0)
        correction = snapshot.correction(store, self._reader(), self._software, more)
        if correction is None:
            return 0
        store.add(correction)
        self._counted[key] = snapshot.seconds
        _LOG.debug("A correction was stored in %.2f s", time.monotonic() - began)
        return len(tuple(correction.seen))
