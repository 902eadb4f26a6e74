"""The main window: everything is made here and tied together in one place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from PySide6.QtCore import QEvent, QTimer, Slot
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import QApplication

from unet_gui.app import theme
from unet_gui.app.canvas_link import VIEW_ACTIONS, CanvasLink
from unet_gui.app.class_desk import ClassDesk
from unet_gui.app.dialogs.desk import DialogDesk
from unet_gui.app.exchange_desk import ExchangeDesk
from unet_gui.app.folder_desk import FolderDesk
from unet_gui.app.garbage import GarbageCollector
from unet_gui.app.guide_desk import GuideDesk
from unet_gui.app.job_progress import Progress
from unet_gui.app.jobs import JobRunner
from unet_gui.app.leaving import Leaving
from unet_gui.app.live import LiveLearning
from unet_gui.app.memory import Memory
from unet_gui.app.menus import fill_recent
from unet_gui.app.messages import Message
from unet_gui.app.meter import Meter
from unet_gui.app.model_desk import ModelDesk
from unet_gui.app.navigator import Navigator
from unet_gui.app.other_programs import OtherPrograms
from unet_gui.app.session import Session
from unet_gui.app.settings import Settings
from unet_gui.app.touch_up import TouchUp
from unet_gui.app.undo_desk import UndoDesk
from unet_gui.app.waiting import Waiting
from unet_gui.app.whole_image import WholeImage
from unet_gui.app.window_frame import WindowFrame
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import Over

_NEED_FOLDER = (
    "close_folder", "save", "save_masks", "export", "import", "encoding", "labels_elsewhere", "train", "segment",
    "filter", "next", "previous", "next_unfinished", "next_doubtful", "load_model", "model_settings", "add_class",
    "class_up", "class_down", "import_classes", "export_classes", "guide", "brush_smaller", "brush_larger",
)  # fmt: skip
_NEED_IMAGE = (
    "fit", "actual", "zoom_in", "zoom_out", "take_over", "take_over_all", "done", "clear", "predict", "swap", "copy",
    "paste", "delete", "specks_all", "holes_all", "grow_class", "shrink_class", "sure_all",
)  # fmt: skip


class MainWindow(WindowFrame):
    """The window with its behaviour.

    Attributes
    ----------
    session : Session
    runner : JobRunner
    desk : ModelDesk
    touch_up : TouchUp
    navigator : Navigator
    dialogs : DialogDesk
    folders : FolderDesk
    undo_desk : UndoDesk
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.garbage = GarbageCollector(self)
        self.session = Session(self)
        self.runner = JobRunner(self)
        self.waiting = Waiting(self.session, self.runner, self)
        self.desk = ModelDesk(self.session, self.runner, self)
        model = self.images.model
        self.navigator = Navigator(self.session, model, self.status.say, self)
        self.whole = WholeImage(self.session, lambda: self.stage.canvas.options, self)
        go = self.navigator
        self.touch_up = TouchUp(self.session, go.next_unfinished, go.predicted_after, self.whole, self)
        self.exchange = ExchangeDesk(self.session, self.runner, model.everything, self)
        self.dialogs = DialogDesk(
            self, self.session, self.desk, settings, self.actions_by_id, model.everything, self._open_with_labels
        )
        self.folders = FolderDesk(self.session, self.runner, settings, self.dialogs.ask, self)
        self.class_desk = ClassDesk(
            self.session, self.runner, self.dialogs, self.classes, model.everything, settings, self
        )
        self.undo_desk = UndoDesk(
            self.session, self.stage.canvas, self.whole, self.class_desk.changes, self.actions_by_id, self
        )
        self.others = OtherPrograms(self.session, self)
        self.live = LiveLearning(self.session, self.desk, self.runner, lambda: self.stage.canvas.is_drawing, self)
        self.meter = Meter(self.session, self.progress_section, self)
        self.link = CanvasLink(
            self.session, self.stage, self.classes, self.layers, self.status, self.actions_by_id, self
        )
        self.memory = Memory(self.session, self.stage.canvas, self.link, settings, self)
        self.guides = GuideDesk(self.session, self.desk, self.stage, self.actions_by_id, settings, self)
        self.leaving = Leaving(self.session, self.runner, self.stage.canvas, self.dialogs, self)
        self._closing = False
        self._place: tuple[str, Rect | None, str] = ("", None, "")
        self._ended = False
        self._connect_signals()
        self._connect_actions()
        self._apply_settings("")
        self._on_folder()

    # --- the one place where signals meet slots --------------------------------------------------------------------

    def _connect_signals(self) -> None:
        session, desk, canvas, folders = self.session, self.desk, self.stage.canvas, self.folders
        self.dropped.connect(folders.open)
        self.start.folder_chosen.connect(folders.open)
        folders.busy.connect(self.start.set_busy)
        folders.busy.connect(self.status.hold)
        folders.said.connect(self.show_message)
        folders.sample_wanted.connect(self.guides.want)
        session.folder_changed.connect(self._on_folder)
        session.encoding_changed.connect(self._show_notes)
        session.image_opening.connect(self._on_opening)
        session.image_changed.connect(self._enable)
        changes = self.class_desk.changes
        steps = canvas.steps_changed, self.whole.changed, changes.changed
        for moved in (session.image_changed, session.history_changed, *steps):
            moved.connect(self.undo_desk.show)
            moved.connect(self._show_unsaved)
        session.label_changed.connect(self._on_label)
        session.said.connect(self.show_message)
        session.settled.connect(self.stage.messages.settle)
        self.others.said.connect(self.show_message)
        desk.said.connect(self.show_message)
        changes.said.connect(self.show_message)
        self.exchange.said.connect(self.show_message)
        self.exchange.imported.connect(changes.forget)
        self.dialogs.export_chosen.connect(self.exchange.export)
        self.dialogs.import_chosen.connect(self.exchange.import_labels)
        self.dialogs.encoding_chosen.connect(self.exchange.set_encoding)
        desk.shelf.changed.connect(self._on_models)
        desk.progressed.connect(self._on_progress)
        desk.training_changed.connect(self._on_training)
        desk.loss_known.connect(self.model_section.curves.add_loss)
        desk.score_known.connect(self.model_section.curves.add_score)
        desk.plan_known.connect(self.model_section.set_plan)
        desk.device_known.connect(self._on_device)
        desk.trained.connect(self._on_trained)
        self.live.changed.connect(self.model_section.set_live)
        self.live.told.connect(self.model_section.tell_live)
        self.images.chosen.connect(session.open_image)
        self.model_section.model_chosen.connect(desk.shelf.use)
        self.model_section.settings_wanted.connect(self.dialogs.model_settings)
        self.model_section.plan_wanted.connect(self._on_plan)
        self.model_section.stop_wanted.connect(desk.stop_training)
        self.stage.chips.over_chosen.connect(self._on_over)
        self.stage.chips.class_menu_wanted.connect(self.class_desk.choose)
        self.stage.chips.size_menu_wanted.connect(self.class_desk.choose_size)
        self.layers.channel_color_wanted.connect(self._on_channel_color)
        self.class_desk.size_chosen.connect(canvas.set_brush_size)
        self.touch_up.place_found.connect(self._on_place)
        self.touch_up.finished.connect(self.meter.on_finished)
        self.touch_up.predict_wanted.connect(self._predict)
        self.tools.triggered.connect(self._on_tool)
        self.settings.changed.connect(self._apply_settings)
        self.runner.queued.connect(self._enable)
        for over in (self.runner.finished, self.runner.failed, self.runner.cancelled):
            over.connect(self._on_job_over)

    def _connect_actions(self) -> None:
        canvas, touch_up, dialogs, go = self.stage.canvas, self.touch_up, self.dialogs, self.navigator
        deeds: dict[str, Callable[..., object]] = {
            "open": dialogs.open_folder,
            "open_sample": self.folders.open_sample,
            "save": self.session.save,
            "save_masks": dialogs.save_masks,
            "export": dialogs.export,
            "import": dialogs.import_labels,
            "encoding": dialogs.encoding,
            "labels_elsewhere": dialogs.labels_elsewhere,
            "close_folder": self.folders.close_folder,
            "quit": self.close,
            "undo": self.undo_desk.undo,
            "redo": self.undo_desk.redo,
            "settings": dialogs.settings,
            "next": partial(go.step, 1),
            "previous": partial(go.step, -1),
            "next_unfinished": go.go_unfinished,
            "fit": canvas.fit,
            "actual": partial(canvas.zoom_to, 1.0),
            "zoom_in": partial(self._zoom, 1.25),
            "zoom_out": partial(self._zoom, 0.8),
            **dict.fromkeys(VIEW_ACTIONS, self.link.follow_actions),
            "copy": canvas.copy,
            "paste": canvas.paste,
            "delete": canvas.delete,
            **self.whole.deeds(),
            "filter": self._find,
            "take_over": touch_up.take_over,
            "take_over_all": partial(touch_up.take_over, replace=True),
            "next_doubtful": touch_up.next_doubtful,
            "done": touch_up.done,
            "swap": self.class_desk.swap,
            "clear": touch_up.clear,
            "add_class": self.class_desk.add,
            "class_up": self.class_desk.move_up,
            "class_down": self.class_desk.move_down,
            "import_classes": self.class_desk.import_list,
            "export_classes": self.class_desk.export_list,
            "train": self.desk.train,
            "live": self.live.switch,
            "stop": self.desk.stop,
            "predict": self._predict,
            "segment": self._segment,
            "load_model": dialogs.load_model,
            "model_settings": dialogs.model_settings,
            "shortcuts": dialogs.shortcuts,
            "guide": self.guides.show,
            "about": dialogs.about,
            "pen_click": canvas.pen.click,
            "pen_down": canvas.pen.toggle,
            "brush_smaller": partial(canvas.step_brush_size, -1),
            "brush_larger": partial(canvas.step_brush_size, 1),
        }
        for way, (dx, dy) in {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "lower": (0, 1)}.items():
            deeds[f"pen_{way}"] = partial(canvas.pen.move, dx, dy)
            deeds[f"pen_{way}_fine"] = partial(canvas.pen.move, dx, dy, fine=True)
        for name, deed in deeds.items():
            self.actions_by_id.on(name, deed)
        for number in range(10):
            self.actions_by_id.on(f"class_{number}", partial(self.class_desk.pick_row, number))

    # --- folder ----------------------------------------------------------------------------------------------------

    def open_path(self, path: Path) -> None:
        """Open a folder of images, or the folder of an image and that image."""
        self.folders.open(path)

    def open_sample(self, where: Path) -> None:
        """Open the built-in sample, made there if it is not yet."""
        self.folders.open_sample(where)

    def _open_with_labels(self, path: Path, labels: Path | None) -> None:
        self.folders.open_with_labels(path, labels)

    @Slot()
    def _on_folder(self) -> None:
        folder = self.session.folder
        self.dialogs.forget_folder()
        self.folders.busy.emit("")
        self.start.set_recent(self.settings.recent())
        self.show_stage(folder is not None)
        self.images.set_folder(folder.dataset if folder else None, folder.book if folder else None)
        self._enable()
        if folder is None:
            self.setWindowTitle("unet-gui")
            self.status.set_idle("")
            self._on_device("", "")
            return
        self.start.messages.clear()
        folder.pages_known.connect(self._on_pages)
        root = folder.dataset.root
        name = "/".join(part for part in (root.parent.name, root.name) if part)
        self.setWindowTitle(f"{name}[*] — unet-gui")
        self._show_notes()
        self.folders.welcome(self.dialogs.labels_elsewhere)
        self.class_desk.changes.recover()
        self.desk.offer_cut_training()

    @Slot()
    def _show_notes(self) -> None:
        if self.session.dataset is not None:
            self.status.set_idle("  ".join(self.session.dataset.notes))

    @Slot(object)
    def _on_pages(self, stacks: dict[str, list[ImageRef]]) -> None:
        self.images.set_pages(stacks, self.navigator.current)

    # --- image -----------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_opening(self, key: str) -> None:
        self.stage.messages.settle("image")  # it is tried again
        self.stage.messages.leave(key)
        if key:
            self.images.select(ImageRef.parse(key))

    @Slot()
    def _show_unsaved(self) -> None:
        self.setWindowModified(bool(self.session.unsaved()))

    @Slot(object)
    def _on_label(self, _rect: Rect) -> None:
        if not self.isWindowModified():
            self.setWindowModified(True)

    @Slot(object, str)
    def _on_place(self, rect: Rect, text: str) -> None:
        canvas = self.stage.canvas
        if canvas.is_drawing:  # the picture must not jump away under a stroke
            self._place = self.session.key, rect, text
            QTimer.singleShot(200, self, self._go_to_place)
            return
        canvas.go_to(rect)
        self.status.say(text)
        canvas.setFocus()

    @Slot()
    def _go_to_place(self) -> None:
        """Go to the doubtful place that was found while somebody painted, unless another image is open by now."""
        (key, rect, text), self._place = self._place, ("", None, "")
        if rect is not None and key == self.session.key:
            self._on_place(rect, text)

    def _find(self) -> None:
        self.images_dock.show()
        self.images.field.setFocus()
        self.images.field.selectAll()

    @Slot(object)
    def _on_tool(self, action: object) -> None:
        self.stage.canvas.set_tool(action.data())  # type: ignore[attr-defined]
        self.stage.canvas.setFocus()

    def _zoom(self, factor: float) -> None:
        self.stage.canvas.zoom_to(self.stage.canvas.zoom * factor)

    @Slot(object)
    def _on_over(self, over: Over) -> None:
        self.session.over = over

    @Slot(int)
    def _on_channel_color(self, at: int) -> None:
        now = self.stage.canvas.display.channels[at].color
        self.dialogs.ask_color(at, now, self.layers.set_channel_color)

    # --- model -----------------------------------------------------------------------------------------------------

    @Slot()
    def _predict(self) -> None:
        document = self.session.document
        if document is not None:
            self.desk.predict(document.ref)

    def _segment(self) -> None:
        self.session.save()
        self.desk.segment(tuple(self.images.model.everything()))

    @Slot()
    def _on_models(self) -> None:
        self.model_section.set_models(self.desk.shelf.models, self.desk.shelf.model)

    @Slot(object)
    def _on_progress(self, progress: Progress | None) -> None:
        if progress is None:
            self.status.set_job("")
        else:
            self.status.set_job(progress.title, progress.text, progress.fraction, progress.left)
        self._enable()

    @Slot(bool)
    def _on_training(self, training: bool) -> None:
        if training:
            self.model_section.curves.clear()
        self.model_section.set_training(training)
        self._enable()

    @Slot(str, str)
    def _on_device(self, name: str, note: str) -> None:
        self.status.device.set_text(name)
        self.status.device.setToolTip(note or "Where the model computes")

    @Slot(str)
    def _on_plan(self, text: str) -> None:
        self.show_message(Message("info", text, topic="plan"))

    @Slot(object)
    def _on_trained(self, _path: Path) -> None:
        if not self._closing and not self.live.on:
            self._predict()  # so that there is something to correct at once

    # --- around it -------------------------------------------------------------------------------------------------

    @Slot()
    def _enable(self) -> None:
        """Let actions be chosen that make sense now."""
        actions, folder = self.actions_by_id, self.session.folder
        for name in _NEED_FOLDER:
            actions[name].setEnabled(folder is not None)
        for name in _NEED_IMAGE:
            actions[name].setEnabled(self.session.document is not None)
        for action in self.tools.actions():
            action.setEnabled(folder is not None)
        actions["stop"].setEnabled(self.runner.busy)
        actions["train"].setEnabled(folder is not None and not self.desk.training)
        actions["live"].setEnabled(folder is not None and (self.live.on or not self.desk.training))
        actions["segment"].setEnabled(folder is not None and not self.runner.pending("segment"))

    def show_fault(self, error: BaseException) -> None:
        """Show a fault of the program itself; work goes on, and what is saved is safe."""
        self.show_message(Message.of(error, topic="fault"))

    @Slot(str)
    def _apply_settings(self, name: str) -> None:
        before, self.session.autosave = self.session.autosave, self.settings.get("autosave")
        if self.session.autosave and not before:
            self.session.save()  # what has waited for that
        if name in ("", "brush_in_screen_pixels"):
            self.stage.canvas.brush.on_screen = self.settings.get("brush_in_screen_pixels")
            self.stage.canvas.set_brush_size(self.stage.canvas.brush.size)
        if name == "theme":
            self.retheme()
        if name in ("", "shortcuts"):
            self.actions_by_id.set_keys(self.settings.shortcuts())
        if name in ("", "recent"):
            fill_recent(self.recent_menu, self.settings.recent(), self.folders.open)

    def retheme(self) -> None:
        """Take the theme that is wished for now."""
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        wanted = theme.resolve(self.settings.get("theme"), app)
        if wanted != theme.current():
            theme.apply(app, wanted)
            self.link.set_style()
            self.model_section.curves.retheme()

    # --- closing ---------------------------------------------------------------------------------------------------

    @Slot()
    def _on_job_over(self) -> None:
        self._enable()
        if self._closing and not self.runner.busy:
            QTimer.singleShot(0, self, self.close)

    def leave(self) -> None:
        """Close the window without asking whether to stop what runs and to lose shapes in progress."""
        self._closing = True
        self.close()

    def _close_anyway(self) -> None:
        """Close though labels are lost; what has been begun since that was asked is asked about first."""
        if self.runner.busy:
            self.close()
            return
        self.session.close_folder(lose_changes=True)
        self.leave()

    def end(self) -> None:
        """End all threads. The window is of no use afterwards."""
        if self._ended:
            return
        self._ended = True
        self.runner.shutdown()
        self.status.forget()
        for stack in (self.stage.messages, self.start.messages):
            stack.clear()
        parts = (
            self.whole,
            self.touch_up,
            self.class_desk,
            self.others,
            self.meter,
            self.link,
            self.images.model.thumbnails,
            self.folders,
        )
        for part in (*parts, self.session):
            part.close()
        self.garbage.close()

    def closeEvent(self, event: QCloseEvent) -> None:
        self.stage.canvas.finish()
        if not self._closing and not self._ended and self.leaving.asks(self.leave):
            event.ignore()
            return
        if self.runner.busy:  # it stops at its next step or tile, then the window closes by itself
            self._closing = True
            self.live.stop()
            self.runner.cancel()  # first: what is given up would make room for what waits
            self.session.deeds.drop()
            self.status.set_job("Stopping", "the window closes when the work has come to an end")
            event.ignore()
            return
        self._closing = False
        self.remember_layout()
        if not self.session.close_folder():
            event.ignore()
            self.folders.ask_to_lose(self._close_anyway)
            return
        self.dialogs.close()
        self.end()
        event.accept()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ThemeChange and hasattr(self, "link"):  # it comes while being made, too
            self.retheme()
        elif event.type() == QEvent.Type.ActivationChange and hasattr(self, "link"):
            if self.isActiveWindow():
                self.others.look()
            else:
                self.stage.canvas.let_go()  # a key that is held now is let go elsewhere
