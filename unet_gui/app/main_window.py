"""The main window: where everything sits, and one place where everything is tied together."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, Qt, QTimer, Slot
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeyEvent
from PySide6.QtWidgets import QApplication, QDockWidget, QMainWindow, QScrollArea, QStackedWidget, QVBoxLayout, QWidget

from unet_gui.app import theme
from unet_gui.app.actions import ActionTable
from unet_gui.app.canvas_link import CanvasLink
from unet_gui.app.chores import Chores
from unet_gui.app.class_desk import ClassDesk
from unet_gui.app.dialogs.desk import DialogDesk
from unet_gui.app.jobs import JobRunner
from unet_gui.app.menus import add_tool_actions, build_menus, build_tool_bar, fill_recent
from unet_gui.app.messages import Message, Offer
from unet_gui.app.meter import Meter
from unet_gui.app.model_desk import ModelDesk, Progress
from unet_gui.app.panels.classes import ClassesSection
from unet_gui.app.panels.guide import Guide
from unet_gui.app.panels.images import ImagesPanel
from unet_gui.app.panels.layers import LayersSection
from unet_gui.app.panels.model import ModelSection, ProgressSection
from unet_gui.app.panels.stage import Stage
from unet_gui.app.panels.start_page import StartPage
from unet_gui.app.panels.status_bar import StatusLine
from unet_gui.app.session import Session
from unet_gui.app.settings import Settings
from unet_gui.app.touch_up import TouchUp
from unet_gui.app.widgets import heading, label, row
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef

_NEED_FOLDER = ("close_folder", "save", "save_masks", "encoding", "labels_elsewhere", "train", "segment", "filter",
                "next", "previous", "next_unfinished", "next_doubtful", "load_model", "model_settings", "add_class",
                "guide")  # fmt: skip
_NEED_IMAGE = ("fit", "actual", "zoom_in", "zoom_out", "take_over", "take_over_all", "done", "clear", "predict", "swap")
_CANVAS_KEYS = (Qt.Key.Key_Space, Qt.Key.Key_H, Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Escape,
                Qt.Key.Key_Backspace)  # fmt: skip


class MainWindow(QMainWindow):
    """The window.

    Attributes
    ----------
    settings : Settings
    session : Session
    runner : JobRunner
    desk : ModelDesk
    touch_up : TouchUp
    actions_by_id : ActionTable
    images : ImagesPanel
    stage : Stage
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.session = Session(self)
        self.runner = JobRunner(self)
        self.desk = ModelDesk(self.session, self.runner, self)
        self.actions_by_id = ActionTable(self)
        self._tools = add_tool_actions(self.actions_by_id)
        self._closing = False
        self._forwarding = False
        self._ended = False
        self._chores = Chores(1, self)
        self._build()
        self.touch_up = TouchUp(self.session, self._next_unfinished, self._predicted_after, self)
        self.dialogs = DialogDesk(
            self, self.session, self.desk, settings, self.actions_by_id, self.images.model.everything, self._open
        )
        self.classes_desk = ClassDesk(
            self.session, self.runner, self.dialogs, self.classes, self.images.model.everything, self
        )
        self.meter = Meter(self.session, self.progress_section, self)
        self.link = CanvasLink(
            self.session, self.stage, self.classes, self.layers, self.status, self.actions_by_id, self
        )
        self._connect_signals()
        self._apply_settings("")
        self._on_folder()

    # --- layout ----------------------------------------------------------------------------------------------------

    def _build(self) -> None:
        actions = self.actions_by_id
        self.setAcceptDrops(True)
        self.setDockNestingEnabled(True)
        self.stage = Stage(actions)
        self.start = StartPage(actions)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.start)
        self.pages.addWidget(self.stage)
        self.setCentralWidget(self.pages)
        self.tool_bar = build_tool_bar(self, actions)
        self.images = ImagesPanel()
        self._image_count = label("", "muted")
        self.images_dock = self._dock(
            "Images", self.images, self._title("Images", self._image_count), Qt.DockWidgetArea.LeftDockWidgetArea
        )
        self.classes = ClassesSection()
        actions["show_label"].setChecked(True)
        actions["show_prediction"].setChecked(True)
        self.layers = LayersSection(actions)
        self.model_section = ModelSection(actions)
        self.progress_section = ProgressSection()
        self.panel_dock = self._dock(
            "Classes, layers, model", self._column(), QWidget(), Qt.DockWidgetArea.RightDockWidgetArea
        )
        self.status = StatusLine(actions["stop"])
        self.setStatusBar(self.status)
        self._recent = build_menus(
            self, actions, [self.images_dock.toggleViewAction(), self.panel_dock.toggleViewAction()]
        )
        self.guide: Guide | None = None
        screen = self.screen().availableGeometry()
        self.resize(min(1440, round(screen.width() * 0.94)), min(900, round(screen.height() * 0.92)))
        self.resizeDocks([self.images_dock, self.panel_dock], [230, 280], Qt.Orientation.Horizontal)
        self._first_layout = self.saveState()

    def _dock(self, name: str, widget: QWidget, title: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(name, self)
        dock.setObjectName(name)
        dock.setWidget(widget)
        dock.setTitleBarWidget(title)
        dock.setAllowedAreas(Qt.DockWidgetArea.LeftDockWidgetArea | Qt.DockWidgetArea.RightDockWidgetArea)
        self.addDockWidget(area, dock)
        return dock

    def _title(self, text: str, *extra: QWidget) -> QWidget:
        title = QWidget()
        title.setProperty("role", "dock-title")
        title.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        layout = row(heading(text), 1, *extra)
        layout.setContentsMargins(12, 9, 12, 7)
        title.setLayout(layout)
        title.setToolTip("Drag to move this panel")
        return title

    def _column(self) -> QScrollArea:
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for section in (self.classes, self.layers, self.model_section, self.progress_section):
            layout.addWidget(section)
        layout.addStretch(1)
        area = QScrollArea()
        area.setProperty("role", "panel")
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        area.setMinimumWidth(inside.minimumSizeHint().width())
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        return area

    # --- the one place where signals meet slots --------------------------------------------------------------------

    def _connect_signals(self) -> None:
        session, desk, on = self.session, self.desk, self.actions_by_id.on
        canvas, touch_up, dialogs = self.stage.canvas, self.touch_up, self.dialogs
        session.folder_changed.connect(self._on_folder)
        session.image_opening.connect(self._on_opening)
        session.image_changed.connect(self._on_image)
        session.history_changed.connect(self._on_history)
        session.label_changed.connect(self._on_label)
        session.said.connect(self.say)
        session.settled.connect(self.stage.messages.settle)
        desk.said.connect(self.say)
        desk.models_changed.connect(self._on_models)
        desk.progressed.connect(self._on_progress)
        desk.training_changed.connect(self._on_training)
        desk.loss_known.connect(self.model_section.curves.add_loss)
        desk.score_known.connect(self.model_section.curves.add_score)
        desk.plan_known.connect(self.model_section.set_plan)
        desk.device_known.connect(self._on_device)
        desk.trained.connect(self._on_trained)
        self.images.chosen.connect(session.open_image)
        self.model_section.model_chosen.connect(desk.use_model)
        self.model_section.settings_wanted.connect(dialogs.model_settings)
        self.start.folder_chosen.connect(self.open_path)
        self.stage.chips.over_chosen.connect(self._on_over)
        self.stage.chips.class_menu_wanted.connect(self.classes_desk.choose)
        self.stage.chips.size_menu_wanted.connect(self.classes_desk.choose_size)
        touch_up.place_found.connect(self._on_place)
        touch_up.finished.connect(self.meter.on_finished)
        touch_up.predict_wanted.connect(self._predict)
        self._tools.triggered.connect(lambda action: canvas.set_tool(action.data()))
        self.classes_desk.size_chosen.connect(canvas.set_brush_size)
        self.settings.changed.connect(self._apply_settings)
        self._chores.done.connect(self._on_sample)
        self._chores.failed.connect(self._on_no_sample)
        for name, slot in (
            ("open", dialogs.open_folder),
            ("open_sample", self.open_sample),
            ("save", session.save),
            ("save_masks", dialogs.save_masks),
            ("encoding", dialogs.encoding),
            ("labels_elsewhere", dialogs.labels_elsewhere),
            ("close_folder", self._close_folder),
            ("quit", self.close),
            ("undo", session.undo),
            ("redo", session.redo),
            ("settings", dialogs.settings),
            ("next", lambda: self._step(1)),
            ("previous", lambda: self._step(-1)),
            ("next_unfinished", self._go_unfinished),
            ("fit", canvas.fit),
            ("actual", lambda: canvas.zoom_to(1.0)),
            ("zoom_in", lambda: canvas.zoom_to(canvas.zoom * 1.25)),
            ("zoom_out", lambda: canvas.zoom_to(canvas.zoom / 1.25)),
            ("show_label", self.link.follow_actions),
            ("show_prediction", self.link.follow_actions),
            ("outline", self.link.follow_actions),
            ("filter", self._find),
            ("take_over", touch_up.take_over),
            ("take_over_all", lambda: touch_up.take_over(replace=True)),
            ("next_doubtful", touch_up.next_doubtful),
            ("done", touch_up.done),
            ("swap", self.classes_desk.swap),
            ("clear", touch_up.clear),
            ("add_class", self.classes_desk.add),
            ("train", desk.train),
            ("stop", desk.stop),
            ("predict", self._predict),
            ("segment", self._segment),
            ("load_model", dialogs.load_model),
            ("model_settings", dialogs.model_settings),
            ("shortcuts", dialogs.shortcuts),
            ("guide", self._on_guide),
            ("about", dialogs.about),
            ("brush_smaller", lambda: canvas.step_brush_size(-1)),
            ("brush_larger", lambda: canvas.step_brush_size(1)),
        ):
            on(name, slot)
        for number in range(10):
            on(f"class_{number}", lambda number=number: self.classes_desk.pick(number))
        for signal in (self.runner.finished, self.runner.failed, self.runner.cancelled):
            signal.connect(self._on_job_over)

    # --- folder ----------------------------------------------------------------------------------------------------

    @Slot(object)
    def open_path(self, path: Path) -> None:
        """Open a folder of images, or the folder of an image and that image."""
        self._open(path, None)

    def _open(self, path: Path, labels: Path | None) -> None:
        if self.runner.busy:
            text = "Something is still running. Stop it first, then open another folder."
            self.say(Message("info", text, topic="folder", offers=(Offer("Stop", self.desk.stop),)))
            return
        if self.session.open_folder(path, labels):
            self.start.set_busy(f"Opening {path} …")
        else:
            self._ask_to_lose(lambda: self._open_anyway(path, labels))

    def _open_anyway(self, path: Path, labels: Path | None) -> None:
        self.session.close_folder(lose_changes=True)
        self._open(path, labels)

    @Slot()
    def _close_folder(self) -> None:
        self.desk.stop()
        if self.runner.busy:
            self.runner.finished.connect(self._close_folder, Qt.ConnectionType.SingleShotConnection)
            return
        if not self.session.close_folder():
            self._ask_to_lose(lambda: self.session.close_folder(lose_changes=True))

    def open_sample(self, where: Path | None = None) -> None:
        """Make the built-in sample if it is not there yet, and open it with the guide."""
        from unet_gui.app.application import sample_folder

        folder = where or sample_folder()
        self.settings.set("guide", True)
        self.start.set_busy("Making the sample …")
        self._chores.give(folder, lambda: _make_sample(folder))

    @Slot(object, object)
    def _on_sample(self, folder: Path, _made: object) -> None:
        self.open_path(folder)

    @Slot(object, object)
    def _on_no_sample(self, _folder: Path, error: Exception) -> None:
        self.start.set_busy("")
        self.say(Message.of(error, topic="folder"))

    @Slot()
    def _on_folder(self) -> None:
        folder = self.session.folder
        shown = folder is not None
        was_shown = self.pages.currentWidget() is self.stage
        if was_shown and not shown:
            self._remember_layout()
        self.start.set_busy("")
        self.start.set_recent(self.settings.recent())
        if shown != was_shown:
            self.stage.messages.clear()
        self.pages.setCurrentWidget(self.stage if shown else self.start)
        for widget in (self.tool_bar, self.images_dock, self.panel_dock):
            widget.setVisible(shown)
        if shown and not was_shown:
            layout = self.settings.layout()
            self.restoreState(layout[1] if layout else self._first_layout)
        self.images.set_folder(folder.dataset.images if folder else [], folder.book if folder else None)
        self._image_count.setText(str(len(folder.dataset.images)) if folder else "")
        self._enable()
        if folder is None:
            self.setWindowTitle("unet-gui")
            self.status.set_idle("")
            return
        self.start.messages.clear()
        folder.pages_known.connect(self._on_pages)
        folder.book.changed.connect(self._on_statuses)
        self.setWindowTitle(f"{_folder_name(folder.dataset.root)}[*] — unet-gui")
        self.settings.remember(folder.opened.folder)
        self._welcome()
        self._show_guide()

    def _welcome(self) -> None:
        """Say what is special about the folder that was opened."""
        folder = self.session.folder
        assert folder is not None
        if folder.read_only:
            offers = (Offer("Keep labels elsewhere…", self.dialogs.labels_elsewhere),)
            text = f"Opened to look only. {folder.read_only}"
            self.say(Message("warning", text, topic="read-only", offers=offers))
        keys = folder.recovery.keys
        if keys:
            count = f"{len(keys)} images" if len(keys) > 1 else f"“{keys[0]}”"
            text = f"Last time the program ended before the strokes in {count} were saved."
            back = Offer("Bring them back", folder.recovery.restore)
            forget = Offer("Forget them", folder.recovery.discard)
            self.say(Message("warning", text, "\n".join(keys), "recovery", (back, forget)))
        self.status.set_idle("  ".join(folder.dataset.notes))

    @Slot(object)
    def _on_pages(self, stacks: dict[str, list[ImageRef]]) -> None:
        document = self.session.document
        self.images.set_pages(stacks, document.ref if document else None)
        self._image_count.setText(str(self.images.model.total))

    # --- image -----------------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_opening(self, key: str) -> None:
        self.stage.messages.settle("image")
        self.stage.messages.settle("doubt")
        if key:
            self.images.select(ImageRef.parse(key))

    @Slot()
    def _on_image(self) -> None:
        self._enable()
        self._on_history()

    @Slot()
    def _on_history(self) -> None:
        document = self.session.document
        history = document.history if document else None
        for name, possible, what in (
            ("undo", bool(history and history.can_undo), history.undo_text if history else ""),
            ("redo", bool(history and history.can_redo), history.redo_text if history else ""),
        ):
            action = self.actions_by_id[name]
            action.setEnabled(possible)
            action.setText(f"{name.capitalize()} {what}".strip())
        self.setWindowModified(bool(self.session.unsaved()))

    @Slot(object)
    def _on_label(self, _rect: Rect) -> None:
        if self.guide is not None:
            self.guide.tick("paint")
        if not self.isWindowModified():
            self.setWindowModified(True)

    def _current(self) -> ImageRef | None:
        return ImageRef.parse(self.session.key) if self.session.key else None

    def _step(self, step: int) -> None:
        ref = self.images.model.neighbour(self._current(), step)
        if ref is not None:
            self.session.open_image(ref)

    def _next_unfinished(self) -> ImageRef | None:
        return self.images.model.next_unfinished(self._current())

    def _go_unfinished(self) -> None:
        ref = self._next_unfinished()
        if ref is not None:
            self.session.open_image(ref)
        else:
            self.status.say("Every image is done.")

    def _predicted_after(self) -> list[ImageRef]:
        """Return the images with a prediction, beginning after the open one."""
        every, current = self.images.model.everything(), self._current()
        start = every.index(current) + 1 if current in every else 0
        book = self.session.folder.book if self.session.folder else None
        return [ref for ref in [*every[start:], *every[:start]] if book is not None and book.predicted(ref.key)]

    @Slot(object)
    def _on_place(self, rect: Rect) -> None:
        canvas = self.stage.canvas
        wanted = min(8.0, 0.45 * min(canvas.width(), canvas.height()) / max(rect.w, rect.h, 1))
        canvas.zoom_to(max(wanted, canvas.zoom if canvas.zoom > 1 else 1.0))
        canvas.center_on(rect.x + rect.w / 2, rect.y + rect.h / 2)
        canvas.setFocus()

    @Slot()
    def _find(self) -> None:
        self.images_dock.show()
        self.images.field.setFocus()
        self.images.field.selectAll()

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
        self.model_section.set_models(self.desk.models, self.desk.model)

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
        self.status.device.setText(name)
        self.status.device.setToolTip(note or "Where the model computes")

    @Slot(object)
    def _on_trained(self, _path: Path) -> None:
        if self.guide is not None:
            self.guide.tick("train")
        self._predict()  # so that there is something to correct at once

    @Slot(object)
    def _on_statuses(self, _keys: object) -> None:
        if self.guide is not None and self.session.folder and self.session.folder.book.predictions > 1:
            self.guide.tick("correct")

    @Slot(object)
    def _on_over(self, over: object) -> None:
        self.session.over = over  # type: ignore[assignment]

    # --- around it -------------------------------------------------------------------------------------------------

    def _enable(self) -> None:
        """Let actions be chosen that make sense now."""
        actions, folder = self.actions_by_id, self.session.folder
        for name in _NEED_FOLDER:
            actions[name].setEnabled(folder is not None)
        for name in _NEED_IMAGE:
            actions[name].setEnabled(self.session.document is not None)
        for action in self._tools.actions():
            action.setEnabled(folder is not None)
        actions["stop"].setEnabled(self.runner.busy)
        actions["train"].setEnabled(folder is not None and not self.desk.training)
        actions["segment"].setEnabled(folder is not None and not self.runner.pending("segment"))

    @Slot(object)
    def say(self, message: Message) -> None:
        """Show a message where the person looks."""
        (self.stage if self.session.folder else self.start).messages.show_message(message)

    def show_fault(self, error: BaseException) -> None:
        """Show a fault of the program itself; work goes on, and what is saved is safe."""
        self.say(Message.of(error, topic="fault"))

    def _show_guide(self) -> None:
        wanted = self.settings.get("guide") and self.session.folder is not None
        self.actions_by_id["guide"].setChecked(bool(wanted))

    @Slot(bool)
    def _on_guide(self, on: bool) -> None:
        self.settings.set("guide", on)
        if on and self.guide is None:
            self.guide = Guide(self.actions_by_id, self.stage)
            self.guide.closed.connect(self._on_guide_closed)
            self.stage.set_guide(self.guide)
        elif not on and self.guide is not None:
            guide, self.guide = self.guide, None
            self.stage.set_guide(None)
            guide.hide()
            guide.deleteLater()

    @Slot()
    def _on_guide_closed(self) -> None:
        self.actions_by_id["guide"].setChecked(False)

    @Slot(str)
    def _apply_settings(self, name: str) -> None:
        self.session.autosave = self.settings.get("autosave")
        if name in ("", "brush_in_screen_pixels"):
            self.stage.canvas.brush.on_screen = self.settings.get("brush_in_screen_pixels")
            self.stage.canvas.set_brush_size(self.stage.canvas.brush.size)
        if name == "theme":
            self.retheme()
        if name in ("", "shortcuts"):
            self.actions_by_id.set_keys(self.settings.shortcuts())
        if name in ("", "recent"):
            fill_recent(self._recent, self.settings.recent(), self.open_path)

    def retheme(self) -> None:
        """Take the theme that is wished for now."""
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        wanted = theme.resolve(self.settings.get("theme"), app)
        if wanted != theme.current():
            theme.apply(app, wanted)
            self.link.set_style()
            self.model_section.curves.retheme()

    def _remember_layout(self) -> None:
        self.settings.set_layout(self.saveGeometry(), self.saveState())

    # --- closing ---------------------------------------------------------------------------------------------------

    def _ask_to_lose(self, act: object) -> None:
        unsaved = self.session.unsaved()
        text = f"{len(unsaved)} label{'s' * (len(unsaved) > 1)} could not be saved and would be lost:"
        names = ", ".join(unsaved[:6]) + (" …" if len(unsaved) > 6 else "")
        self.dialogs.ask(f"{text} {names}", "Lose them", act)  # type: ignore[arg-type]

    @Slot()
    def _on_job_over(self) -> None:
        self._enable()
        if self._closing and not self.runner.busy:
            QTimer.singleShot(0, self, self.close)

    def end(self) -> None:
        """End all threads. The window is of no use afterwards."""
        if self._ended:
            return
        self._ended = True
        self.runner.shutdown()
        self.touch_up.close()
        self.meter.close()
        self.link.close()
        self.images.model.thumbnails.close()
        self.session.close()
        self._chores.close()

    # --- Qt --------------------------------------------------------------------------------------------------------

    def closeEvent(self, event: QCloseEvent) -> None:
        self.stage.canvas.cancel()
        if self.runner.busy:  # it stops at its next step or tile, then the window closes by itself
            self._closing = True
            self.runner.cancel()
            self.status.set_job("Stopping", "the window closes when the work has come to an end")
            event.ignore()
            return
        self._closing = False
        if self.session.folder is not None:
            self._remember_layout()
        if not self.session.close_folder():
            event.ignore()
            self._ask_to_lose(self._close_anyway)
            return
        self.dialogs.close()
        self.end()
        event.accept()

    def _close_anyway(self) -> None:
        self.session.close_folder(lose_changes=True)
        self.close()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if any(url.isLocalFile() for url in event.mimeData().urls()):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.open_path(paths[0])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        self._forward(event)

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        self._forward(event)

    def _forward(self, event: QKeyEvent) -> None:
        """Give keys that no panel wanted to the canvas, so that they work wherever the focus is."""
        if event.key() not in _CANVAS_KEYS or self._forwarding or self.session.document is None:
            event.ignore()
            return
        self._forwarding = True  # the canvas hands back what it has no use for
        try:
            QApplication.sendEvent(self.stage.canvas, event)
        finally:
            self._forwarding = False

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ThemeChange and self.settings.get("theme") == "system":
            self.retheme()


def _make_sample(folder: Path) -> Path:
    """Write the built-in sample unless it is there: the work of a pool's thread."""
    from unet_gui.core.errors import UserError
    from unet_gui.core.sample import write_sample

    if not (folder / "image").is_dir():
        if folder.is_dir() and any(folder.iterdir()):
            raise UserError("is not empty.", folder, "Name a new folder for the sample.")
        write_sample(folder)
    return folder


def _folder_name(root: Path) -> str:
    return "/".join(part for part in (root.parent.name, root.name) if part)
