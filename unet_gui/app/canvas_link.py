"""What ties the session to the canvas, the chips and the panels that say how things are shown."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from PySide6.QtCore import QObject, QTimer, Slot
from PySide6.QtGui import QColor

from unet_gui.app import theme, words
from unet_gui.app.actions import ActionTable
from unet_gui.app.canvas.layers import LayerSettings
from unet_gui.app.canvas.overlay import CanvasStyle
from unet_gui.app.canvas.tools import TOOL_BY_ID
from unet_gui.app.contrast import Contrast
from unet_gui.app.contrast_desk import ContrastDesk
from unet_gui.app.messages import Message, Offer
from unet_gui.app.panels.classes import ClassesSection
from unet_gui.app.panels.layers import LayersSection
from unet_gui.app.panels.stage import Stage
from unet_gui.app.panels.status_bar import StatusLine
from unet_gui.app.pointer_facts import PointerFacts
from unet_gui.app.session import Session
from unet_gui.core.geometry import Rect
from unet_gui.core.images import ImageRef
from unet_gui.core.labels import UNLABELLED
from unet_gui.core.palette import name_of
from unet_gui.core.text import in_words, percent

OPENING_MS = 400
"""An image that is there sooner is not waited for by anybody."""
VIEW_ACTIONS = {
    "show_label": "label",
    "show_prediction": "prediction",
    "outline": "outline",
    "split": "split",
    "difference": "difference",
    "minimap": "minimap",
    "scale_bar": "scale_bar",
}
"""Actions that are a field of `LayerSettings`."""


class CanvasLink(QObject):
    """Keeps canvas, chips, class list and layers in step with the session.

    Attributes
    ----------
    contrast_desk : ContrastDesk
        How images are shown, from one to the next.
    painting_tool : str
        The tool used last that paints: the eraser gives way to it.
    """

    def __init__(
        self,
        session: Session,
        stage: Stage,
        classes: ClassesSection,
        layers: LayersSection,
        status: StatusLine,
        actions: ActionTable,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session = session
        self._stage = stage
        self._canvas = stage.canvas
        self._classes = classes
        self._layers = layers
        self._status = status
        self._actions = actions
        self.painting_tool = "brush"
        self.contrast_desk = ContrastDesk(session, self._canvas, layers, self)
        self._slow = False  # an image is being waited for, and this is said
        self._ref: ImageRef | None = None  # of the image on the canvas
        self._left: tuple[ImageRef, str] | None = None  # the shape in progress that was told of last, and its tool
        self._opening = QTimer(self)
        self._opening.setSingleShot(True)
        self._opening.setInterval(OPENING_MS)
        self._opening.timeout.connect(self._on_slow)
        self._canvas.set_target(session)
        self._connect()
        self._pointer = PointerFacts(session, self._canvas, status, self)
        self.set_style()
        self._on_layers(layers.settings)
        self._on_active_class(session.active_class)
        self._on_tool(self._canvas.tool)

    def _connect(self) -> None:
        session, canvas = self._session, self._canvas
        session.hands_off.connect(canvas.finish)
        session.folder_changed.connect(self._on_folder)
        canvas.used.connect(self._show_option)
        session.image_opening.connect(self._on_opening)
        session.image_changed.connect(self._on_image)
        session.label_changed.connect(canvas.refresh)
        session.label_changed.connect(self._on_label)
        session.prediction_changed.connect(self._on_prediction)
        session.classes_changed.connect(self._on_classes)
        session.active_class_changed.connect(self._on_active_class)
        session.over_changed.connect(self._stage.chips.set_over)
        canvas.tool_changed.connect(self._on_tool)
        canvas.shape_left.connect(self._on_shape_left)
        canvas.steps_changed.connect(self._on_steps)
        canvas.brush_changed.connect(self._on_brush)
        canvas.view_changed.connect(self._on_view)
        canvas.layers_changed.connect(self._on_layers)
        self._stage.chips.option_chosen.connect(self._on_option)
        canvas.message.connect(self._status.say)
        canvas.failed.connect(self._on_canvas_failed)
        self._classes.chosen.connect(self._on_class_chosen)
        self._classes.hidden_changed.connect(self._on_hidden)
        self._layers.settings_changed.connect(self._on_layers)

    def close(self) -> None:
        """End what runs in the background."""
        self._pointer.close()
        self._canvas.shutdown()

    def set_style(self) -> None:
        """Take the colours of the theme of the moment."""
        colors = theme.current()
        style = CanvasStyle(
            background=QColor(colors.canvas), waiting=QColor(colors.raised), accent=QColor(colors.accent)
        )
        self._canvas.set_style(style)
        self._on_classes()

    # --- image and label -------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_opening(self, key: str) -> None:
        self._slow = False
        self._opening.stop()
        if key:  # else a folder is being closed, and something is told of the next one
            self._status.forget()  # that was about the image before
            self._opening.start()

    @Slot()
    def _on_slow(self) -> None:
        """Say what is waited for: the image before is still in sight."""
        self._status.hold(f"Opening {in_words(self._session.key)} …")
        self._slow = True

    @Slot()
    def _on_image(self) -> None:
        self._opening.stop()
        if self._slow:
            self._slow = False
            self._status.forget()
        document = self._session.document
        if document is None:
            self._canvas.set_image(None)
            self._ref = None
            self._status.set_image("")
            return
        info = document.source.info
        shown = self.contrast_desk.display_of(document)
        place = self._canvas.place if document.ref == self._ref else None
        self._canvas.set_image(document.source, shown)
        if place is not None:  # only the label was read again
            self._canvas.zoom_to(place[0])
            self._canvas.center_on(*place[1])
        self.contrast_desk.on_shown(document)
        self._canvas.set_label(document.labels)
        self._ref = document.ref
        self._on_steps()
        for tool in self._canvas.waiting_shapes:
            self._on_shape_left(tool)
        depth = {"uint8": "8-bit", "uint16": "16-bit", "float32": "32-bit float"}.get(info.dtype, info.dtype)
        self._status.set_image(f"{in_words(document.key)} · {info.width}×{info.height} · {depth}")

    @Slot()
    def _on_prediction(self) -> None:
        self._canvas.set_prediction(self._session.prediction)

    @Slot()
    def _on_folder(self) -> None:
        self.contrast_desk.keep(Contrast())  # the next folder's values mean something else
        self._classes.show_all()
        self._session.settled.emit("shape")

    @Slot(object)
    def _on_canvas_failed(self, error: Exception) -> None:
        said = words.partly_read(self._session.key, error)  # what cannot be read at all is not opened
        self._session.said.emit(said)
        if self._session.folder is not None:
            self._session.folder.book.set_damaged(self._session.key, said.text)

    # --- classes ---------------------------------------------------------------------------------------------------

    @Slot()
    def _on_classes(self) -> None:
        classes = self._session.classes
        self._canvas.set_classes(classes)
        self._classes.set_classes(classes)
        self._stage.chips.set_classes(classes)
        self._stage.chips.set_over(self._session.over)
        self._show_class()

    @Slot(int)
    def _on_active_class(self, _class_id: int) -> None:
        if self._canvas.tool == "eraser":
            self._canvas.set_tool(self.painting_tool)
        self._show_class()

    @Slot(int)
    def _on_class_chosen(self, class_id: int) -> None:
        if class_id == UNLABELLED:
            self._canvas.set_tool("eraser")
        elif class_id == self._session.active_class:
            self._on_active_class(class_id)
        else:
            self._session.active_class = class_id

    @Slot(object)
    def _on_hidden(self, hidden: frozenset[int]) -> None:
        self._on_layers(replace(self._layers.settings, hidden=hidden))

    def _show_class(self) -> None:
        erasing = self._canvas.tool == "eraser"
        class_id = UNLABELLED if erasing else self._session.active_class
        info = next((info for info in self._session.classes if info.id == class_id), None)
        self._classes.set_current(class_id)
        name = "erase to unlabelled" if erasing else info.name if info else ""
        self._stage.chips.set_class(class_id, name, info.color if info else "#808080")

    # --- tool and brush --------------------------------------------------------------------------------------------

    @Slot(str)
    def _on_tool(self, name: str) -> None:
        if name not in ("eraser", "pan", "pick"):
            self.painting_tool = name
        action = self._actions[f"tool_{name}"]
        action.setChecked(True)
        self._on_brush(self._canvas.brush.size)
        self._stage.chips.set_option(name, self._canvas.options)
        self._show_class()

    @Slot(str)
    def _on_shape_left(self, tool: str) -> None:
        if self._ref is not None:
            name = TOOL_BY_ID[tool].draft_name
            text = f"The {name} on “{self._ref.key}” is not finished. It is kept there."
            offer = Offer("Go on with it", partial(self._go_on, self._ref, tool))
            self._left = self._ref, tool
            self._session.said.emit(Message("info", text, topic="shape", offers=(offer,), passing=True))

    @Slot()
    def _on_steps(self) -> None:
        if self._canvas.undo_text and self._left == (self._ref, self._canvas.tool):  # it is in hand again
            self._session.settled.emit("shape")

    def _go_on(self, ref: ImageRef, tool: str) -> None:
        self._session.open_image(ref)
        self._canvas.set_tool(tool)

    @Slot(str, object)
    def _on_option(self, field: str, value: object) -> None:
        setattr(self._canvas.options, field, value)
        self._stage.chips.set_option(self._canvas.tool, self._canvas.options)

    @Slot(float)
    def _on_brush(self, size: float) -> None:
        ring = TOOL_BY_ID[self._canvas.tool].ring
        self._stage.chips.set_size(size, self._canvas.brush.on_screen, ring)

    @Slot()
    def _show_option(self) -> None:
        self._stage.chips.set_option(self._canvas.tool, self._canvas.options)  # a tool may have changed its own

    # --- how it is shown -------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_layers(self, settings: LayerSettings) -> None:
        self._canvas.layers = settings
        self._layers.set_settings(settings)
        for name, field in VIEW_ACTIONS.items():
            value = getattr(settings, field)
            self._actions[name].setChecked(value is not None and value is not False)

    @Slot()
    def follow_actions(self) -> None:
        """Show the layers that are checked in the menu."""
        now = self._canvas.layers
        wanted: dict[str, object] = {field: self._actions[name].isChecked() for name, field in VIEW_ACTIONS.items()}
        wanted["split"] = (now.split or 0.5) if wanted["split"] else None
        settings = replace(self._layers.settings, **wanted)  # type: ignore[arg-type]
        if settings != now:
            self._on_layers(settings)

    @Slot()
    def _on_view(self) -> None:
        zoom = self._canvas.zoom
        self._status.zoom.setText(percent(zoom) if self._session.document else "")

    # --- what is painted -------------------------------------------------------------------------------------------

    @Slot(object)
    def _on_label(self, rect: Rect) -> None:
        self._canvas.mark(None)  # somebody has done something about it
        painted, labels = self._session.active_class, self._session.labels
        if self._classes.is_hidden(painted) and labels is not None and (labels.ids[rect.slices] == painted).any():
            self._classes.show_class(painted)  # painting would look like erasing
            self._status.say(f"“{name_of(self._session.classes, painted)}” was hidden; it is shown again")
        self._uncover(rect)

    def _uncover(self, rect: Rect) -> None:
        """Show the label if it is hidden where it has changed: nobody would see what is painted."""
        layers = self._canvas.layers
        if not layers.difference and self._canvas.is_of_prediction(rect):
            self._on_layers(replace(layers, split=None, label=True))
            self._status.say("Split view off: paint does not show on the prediction's side")
        elif layers.hides_label:
            opacity = layers.label_opacity or LayerSettings.label_opacity
            self._on_layers(replace(layers, label=True, label_opacity=opacity))
            self._status.say("The label was hidden; it is shown again")
