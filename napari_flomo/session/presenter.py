"""Handle requests of the user and events of the session in the same way in every viewer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from weakref import WeakKeyDictionary

from napari_flomo.errors import FlomoError
from napari_flomo.measures import SIDES, Conventions, HeartPhases, Phase, Side
from napari_flomo.models import info
from napari_flomo.reports import Report
from napari_flomo.session import (
    cine_messages,
    messages,
    suggestion_messages,
    unsaved_messages,
    visibility_messages,
)
from napari_flomo.session.events import (
    AutosaveChanged,
    EarlierFound,
    Event,
    ImageRemoved,
    RestoreEnded,
    RunCancelled,
    RunFailed,
    RunFinished,
    StepRestored,
)
from napari_flomo.session.findings import remarks_of
from napari_flomo.session.image_state import OpenImage
from napari_flomo.session.messages import Choice, Message, Until
from napari_flomo.session.overwrite import overwritten_by
from napari_flomo.session.overwrite_question import overwrite_question
from napari_flomo.session.phases import check_cine, review_note
from napari_flomo.session.preferences import Preferences
from napari_flomo.session.removed_labels import RemovedLabels
from napari_flomo.session.reporting import report_of
from napari_flomo.session.review import SliceIndex
from napari_flomo.session.runs import Run
from napari_flomo.session.scope import Scope
from napari_flomo.session.session import Session
from napari_flomo.session.unsaved_edits import UnsavedEdits
from napari_flomo.session.viewer import ViewerAdapter
from napari_flomo.session.visibility import FOR_FRAMES
from napari_flomo.session.wall_presenter import WallPresenter


class Presenter(WallPresenter):
    """Connects a session with a viewer: asks, starts runs, shows results and messages.

    Parameters
    ----------
    session
        The images and the work on them.
    viewer
        Shows them.
    preferences
        Choices of the user that are remembered.

    Attributes
    ----------
    unsaved
        Lists, restores and discards the edits that crashes left unsaved.
    removed
        Offers images again that were removed with labels that are not saved.
    """

    def __init__(self, session: Session, viewer: ViewerAdapter, preferences: Preferences) -> None:
        super().__init__(session, viewer, preferences)
        self._retries: WeakKeyDictionary[Run, Callable[[], object]] = WeakKeyDictionary()
        self.unsaved = UnsavedEdits(session, viewer, self._show_labels)
        self.removed = RemovedLabels(session, viewer, self._show_and_select)
        self._wanted: dict[str, str] = {}  # the map that was requested last, by image
        self._focus: WeakKeyDictionary[Run, object] = WeakKeyDictionary()  # at the click
        session.set_conventions(preferences.conventions)
        session.subscribe(self._on_event)

    # Runs

    def segment(
        self,
        key: str,
        model: str,
        device: str,
        scope: Scope,
        *,
        mirrored: bool = False,
    ) -> None:
        """Start to segment an image; ask first if that would overwrite work of the user.

        Parameters
        ----------
        key, model, device, scope, mirrored
            See `Session.segment`.

        Raises
        ------
        FlomoError
            See `Session.segment`.
        """

        def start(consented: Mapping[SliceIndex, int], device: str = device) -> None:
            run = self._session.segment(
                key, model, device, scope, mirrored=mirrored, consented=consented
            )
            self._focus[run] = self._viewer.focus()
            self._retries[run] = lambda: start(consented, "cpu")
            self._preferences.model, self._preferences.device = model, device
            self._preferences.mirrored = mirrored

        def attempt(consented: Mapping[SliceIndex, int]) -> None:
            self._attempt(lambda: start(consented))()

        self._viewer.read_labels(key)
        found = overwritten_by(self._session.image(key), scope)
        if found:
            question = overwrite_question(
                self._session.image(key),
                found,
                scope,
                model,
                undo_hint=self._viewer.undo_hint,
                start=attempt,
            )
            self._viewer.ask(question)
        else:
            start({})

    def compute_map(self, key: str | None, name: str, device: str, chosen_model: str = "") -> Run:
        """Start to compute an uncertainty map; labels and review do not change.

        Parameters
        ----------
        key
            The image; None raises an error.
        name
            Of the map.
        device
            See `Session.segment`.
        chosen_model
            The model that is chosen now. It is used for an image whose model is not known by
            folder, as after loading a scene, if its card is that of the labels.

        Raises
        ------
        FlomoError
            See `Session.uncertainty`.
        """
        image = self._reviewed(key)
        model = image.model or _if_it_made(image, chosen_model)
        run = self._session.uncertainty(image.key, device, [name], model or None)
        self._wanted[image.key] = name
        self._retries[run] = lambda: self.compute_map(key, name, "cpu", chosen_model)
        return run

    def learn_study(self, key: str | None, device: str = "") -> Run:
        """Start to learn from the accepted slices of an image and to suggest labels for the others.

        Parameters
        ----------
        key
            The image; None raises an error.
        device
            See `Session.segment`; by default that of the last run.

        Raises
        ------
        FlomoError
            See `Session.learn_study`.
        """
        image = self._reviewed(key)
        self._viewer.read_labels(image.key)
        run = self._session.learn_study(image.key, device or self._preferences.device)
        self._focus[run] = self._viewer.focus()
        self._retries[run] = lambda: self.learn_study(key, "cpu")
        return run

    # End diastole and end systole

    def pin_phase(
        self,
        key: str | None,
        phase: Phase,
        sides: Sequence[Side] = SIDES,
        frame: int | None = None,
    ) -> None:
        """Make a frame, by default that on the screen, end diastole or end systole.

        Raises
        ------
        FlomoError
            If the image is no segmented cine, or nothing of the frame was segmented.
        """
        image = self._reviewed(key)
        if frame is None:
            if not self.can_see(key, FOR_FRAMES):
                return
            frame = self._viewer.position(image.key).frame
        before = image.phases
        self._session.phases.pin(image.key, phase, frame, sides)
        self._set_phases(image, before, cine_messages.pinned_text(phase, frame, sides))

    def automatic_phases(self, key: str | None) -> None:
        """Choose end diastole and end systole by the volumes of the network's labels again.

        Raises `FlomoError` if the image is no segmented cine.
        """
        image = self._reviewed(key)
        before = image.phases
        self._session.phases.automatic(image.key)
        self._set_phases(image, before, cine_messages.PHASES_AUTOMATIC)

    def go_to_phase(self, key: str | None, phase: Phase, side: Side = "left") -> None:
        """Show the frame of end diastole or end systole; the slice stays.

        Raises `FlomoError` if it is not known.
        """
        image = self._reviewed(key)
        check_cine(image)
        frame = image.phases.of(side).frame(phase)
        if frame is None:
            raise FlomoError(cine_messages.PHASES_UNKNOWN)
        self.go_to_frame(key, frame)

    def go_to_frame(self, key: str | None, frame: int) -> None:
        """Show a frame, or the first or last one there is; the slice stays."""
        image = self._reviewed(key)
        if not self.can_see(key, FOR_FRAMES):
            return
        frame = min(max(frame, 0), image.volume.n_frames - 1)
        index = self._viewer.position(image.key)._replace(frame=frame)
        if self._viewer.not_shown(image.key) is None:
            self.go_to(image.key, index)
        else:
            self._viewer.go_to(image.key, index)

    def step_frame(self, key: str | None, by: int) -> None:
        """Show the frame that is ``by`` frames later; the slice stays."""
        self.go_to_frame(key, self._viewer.position(self._reviewed(key).key).frame + by)

    # Contours

    @property
    def contours(self) -> bool:
        """Whether labels are shown as contours."""
        return self._preferences.contours

    def show_contours(self, contours: bool) -> None:
        """Show the labels of all images as contours, or filled; also in later sessions."""
        self._preferences.contours = contours
        if not self._viewer.show_contours(contours):
            text = visibility_messages.contours_later_text(contours)
            self._viewer.notify(Message(text))

    # Report

    def report(self, key: str, conventions: Conventions | None = None) -> Report:
        """Return the report of an image.

        Conventions by which it can be measured hold for all images from then on, also in later
        sessions. Raises `FlomoError`, and changes nothing, if it cannot.
        """
        image = self._session.image(key)
        report = report_of(image, conventions)
        if conventions is not None and conventions != image.conventions:
            self._preferences.conventions = conventions
            self._session.set_conventions(conventions)
        return report

    # Corrections of an earlier day

    def bring_back(self, key: str) -> None:
        """Show the labels that the user accepted on an earlier day; the slices are accepted."""
        self._viewer.read_labels(key)
        image, earlier = self._session.image(key), self._session.earlier.bring_back(key)
        if earlier is None:
            return
        if earlier.labels is None:
            text = messages.other_structures_text(earlier)
        else:
            self._show_labels(key)
            text = messages.brought_back_text(earlier, self._viewer.undo_hint)
        remarks = remarks_of(image)
        level = "warning" if remarks or earlier.labels is None else "info"
        self._viewer.notify(Message(" ".join([text, *remarks]), level, key=key))

    # What the session reports

    def _on_event(self, event: Event) -> None:
        if isinstance(event, RunFinished) and event.run.task in ("segment", "learn_study"):
            self._show_run(event.run)
        elif isinstance(event, RunFailed):
            retry = self._attempt(self._retries.get(event.run, lambda: None))
            message = messages.problem_message(event.problem, retry, event.run.key)
            show = self._viewer.ask if message.choices else self._viewer.notify
            show(message)
        elif isinstance(event, RunCancelled):
            self._viewer.notify(Message(messages.CANCELLED, key=event.run.key))
        elif isinstance(event, EarlierFound):
            if event.problem is not None:
                until = Until.RUN
                self._viewer.notify(Message(event.problem, "warning", key=event.key, until=until))
            else:
                self.bring_back(event.key)
        elif isinstance(event, StepRestored):
            self._show_labels(event.key)
        elif isinstance(event, RestoreEnded | ImageRemoved):
            self.unsaved.find()
        elif isinstance(event, AutosaveChanged):
            level, until = ("warning", Until.SAVED) if event.problem else ("info", Until.ACTION)
            text = unsaved_messages.autosave_text(event.problem)
            self._viewer.notify(Message(text, level, key=event.key, until=until))

    def _show_run(self, run: Run) -> None:
        assert run.key is not None
        image = self._session.image(run.key)
        if run.only_maps:
            self._viewer.show_map(image.key, self._wanted.get(image.key, ""))
            return
        untouched = self._viewer.focus() == self._focus.get(run)
        self._show_labels(image.key)
        if image not in self._session.images:
            return  # the viewer closed it, because it was changed meanwhile
        self.begin_review(image.key)
        if untouched:
            self._viewer.select_labels(image.key)
        remembered = self._preferences.review(image.hash)
        if remembered is not None and not image.recalled and not image.confirmed:
            with suppress(FlomoError):  # of another shape: start over
                current = self._session.earlier.resume(image.key, remembered)
                if current is not None and untouched:
                    self._viewer.go_to(image.key, current)
        self._session.earlier.search(image.key)
        remarks = " ".join(remarks_of(image))
        if run.task == "learn_study":
            text = suggestion_messages.suggested_text(
                len(run.options["corrected"]), self._viewer.undo_hint
            )
            remarks = " ".join(filter(None, (text, remarks)))
        if remarks:
            level = "info" if run.task == "learn_study" else "warning"
            self._viewer.notify(Message(remarks, level, key=image.key, until=Until.RUN))

    def _show_labels(self, key: str) -> None:
        self._viewer.show_labels(key)
        self._viewer.show_contours(self._preferences.contours)

    def _show_and_select(self, key: str) -> None:
        self._show_labels(key)
        self._viewer.select_labels(key)

    def _set_phases(self, image: OpenImage, before: HeartPhases, text: str) -> None:
        """Remember the phases of an image, and say that they changed, with a way back."""

        def undo() -> None:
            self._session.phases.set(image.key, before)
            self._preferences.set_review(image.hash, review_note(image))

        self._preferences.set_review(image.hash, review_note(image))
        choices = (Choice("Undo", self._attempt(undo), cine_messages.UNDO_PHASES_TIP),)
        self._viewer.notify(Message(text, choices=choices, key=image.key))


def _if_it_made(image: OpenImage, model: str) -> str:
    """Return a model if it made the labels of an image; else an empty name."""
    if image.segmentation is None or not model:
        return ""
    with suppress(FlomoError):
        if info(model)[1].card_hash == image.segmentation.card.card_hash:
            return model
    return ""
