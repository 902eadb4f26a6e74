"""What is shown and how strongly: label, prediction, image and its contrast."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import partial
from typing import Any

from PySide6.QtCore import QSignalBlocker, QSize, Qt, Signal, Slot
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QGridLayout, QLabel, QSlider, QToolButton, QWidget

from unet_gui.app import theme
from unet_gui.app.actions import ActionTable
from unet_gui.app.canvas.display import Display
from unet_gui.app.canvas.layers import LayerSettings
from unet_gui.app.widgets import Section, button, clear, follow, label, row, swatch, tool_button, unwheeled
from unet_gui.core.text import percent

STEPS = 1000
"""Steps of the contrast sliders."""
TOGGLES = ("outline", "split", "difference", "minimap", "scale_bar")
"""Actions beside the heading."""


def _eye(tip: str) -> QToolButton:
    """Return a button that shows or hides a layer."""
    widget = QToolButton()
    widget.setCheckable(True)
    widget.setChecked(True)
    widget.setToolTip(tip)
    widget.setAccessibleName(tip)
    widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    _draw_eye(widget, True)
    return widget


def _draw_eye(widget: QToolButton, on: bool) -> None:
    widget.setIcon(theme.icon("eye" if on else "eye-off", "text" if on else "faint"))


def _slider(name: str, tip: str, top: int = 100) -> QSlider:
    widget = QSlider(Qt.Orientation.Horizontal)
    widget.setRange(0, top)
    widget.setPageStep(max(1, top // 10))
    widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    unwheeled(widget)
    widget.setAccessibleName(name)
    widget.setToolTip(tip)
    widget.setMinimumWidth(60)
    return widget


class LayersSection(Section):
    """Eyes and opacities of the layers, contrast of the image.

    Signals
    -------
    settings_changed(LayerSettings)
    display_changed(Display)
    auto_wanted()
        Choose the contrast from the image.
    reset_wanted()
        Show images as at first.
    channel_color_wanted(int)
        Ask for the colour of this channel.
    """

    settings_changed = Signal(object)
    display_changed = Signal(object)
    auto_wanted = Signal()
    reset_wanted = Signal()
    channel_color_wanted = Signal(int)

    def __init__(self, actions: ActionTable, parent: QWidget | None = None) -> None:
        self.toggles = {name: tool_button(actions[name], 16) for name in TOGGLES}
        for widget in self.toggles.values():
            widget.setProperty("role", "toggle")
        bar = QWidget()
        bar.setLayout(row(*self.toggles.values(), spacing=2))
        super().__init__("Layers", bar, parent=parent)
        self._settings = LayerSettings()
        self._display = Display()
        self._range = (0.0, 255.0)
        self._grid = QGridLayout()
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(2, 1)
        self._label = self._layer(0, "Label", actions, "show_label")
        self._prediction = self._layer(1, "Prediction", actions, "show_prediction")
        self._image = _eye("Show or hide the image")
        self._grid.addWidget(self._image, 2, 0)
        tip = "Cut the darkest and brightest pixels off, in this image and in the next ones"
        self._auto = button("Auto contrast", "link", tip)
        self._auto.setIconSize(QSize(12, 12))
        self.set_auto(True)  # the panel is made as wide as that needs
        self._reset = button("Reset", "link", "Show this image and the next ones as at first")
        self._grid.addLayout(row(label("Image"), 1, self._auto, self._reset, spacing=2), 2, 1, 1, 3)
        self._low = self._contrast(3, "Black", "What is shown black")
        self._high = self._contrast(4, "White", "What is shown white")
        self._gamma = self._contrast(5, "Gamma", "Right: the middle brighter")
        self._channels: list[QToolButton] = []
        self._channel_row = row(spacing=4)
        self._grid.addLayout(self._channel_row, 6, 1, 1, 3)
        self.body.addLayout(self._grid)
        self._image.toggled.connect(self._on_image)
        self._auto.clicked.connect(self.auto_wanted)
        self._reset.clicked.connect(self.reset_wanted)
        self.set_settings(self._settings)
        self.set_display(self._display, self._range)

    def _layer(self, at: int, name: str, actions: ActionTable, action: str) -> tuple[QToolButton, QSlider, QLabel]:
        eye = _eye(f"Show {name.lower()}")
        follow(eye, actions[action])
        slider = _slider(f"{name}: opacity", f"How strongly the {name.lower()} covers the image")
        value = label("", "muted")
        value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        value.setMinimumWidth(value.fontMetrics().horizontalAdvance(percent(1)))
        for column, widget in enumerate((eye, label(name), slider, value)):
            self._grid.addWidget(widget, at, column)
        eye.setChecked(actions[action].isChecked())
        eye.clicked.connect(actions[action].trigger)
        slider.valueChanged.connect(self._on_opacity)
        return eye, slider, value

    def _contrast(self, at: int, name: str, tip: str) -> tuple[QSlider, QLabel]:
        slider = _slider(name, tip, STEPS)
        value = label("", "muted")
        value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self._grid.addWidget(label(name, "muted"), at, 1)
        self._grid.addWidget(slider, at, 2)
        self._grid.addWidget(value, at, 3)
        slider.valueChanged.connect(self._on_contrast)
        return slider, value

    # --- setters ---------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> LayerSettings:
        """What is shown now."""
        return self._settings

    def set_settings(self, settings: LayerSettings) -> None:
        """Show what is shown."""
        self._settings = settings
        for (eye, slider, value), on, opacity in (
            (self._label, settings.label, settings.label_opacity),
            (self._prediction, settings.prediction, settings.prediction_opacity),
        ):
            eye.setChecked(on)
            _draw_eye(eye, on)
            slider.setEnabled(on)
            with QSignalBlocker(slider):
                slider.setValue(round(opacity * 100))
            value.setText(percent(opacity))
        with QSignalBlocker(self._image):
            self._image.setChecked(settings.image)
        _draw_eye(self._image, settings.image)

    def set_display(self, display: Display, value_range: tuple[float, float]) -> None:
        """Show the contrast window of the image; ``value_range`` is what its pixels can be."""
        self._display, self._range = display, value_range
        first = display.channels[0]
        least, most = value_range
        span = max(most - least, 1e-12)
        decimals = 0 if span > 20 else 2 if span > 1 else 4
        for (slider, value), now in ((self._low, first.low), (self._high, first.high)):
            with QSignalBlocker(slider):
                slider.setValue(round((now - least) / span * STEPS))
            value.setText(f"{now:.{decimals}f}")
        with QSignalBlocker(self._gamma[0]):
            self._gamma[0].setValue(round(_gamma_to_slider(first.gamma)))
        self._gamma[1].setText(f"{first.gamma:.2f}")
        self._show_channels()

    def set_auto(self, on: bool) -> None:
        """Show whether each image has a contrast window of its own."""
        self._auto.setIcon(theme.icon("check", "accent") if on else QIcon())
        self._auto.setAccessibleName("Auto contrast, on" if on else "Auto contrast")

    def _show_channels(self) -> None:
        """Show a button for each channel of a picture with several: on, off, and by right click its colour."""
        channels = self._display.channels
        if len(self._channels) != (len(channels) if len(channels) > 1 else 0):
            clear(self._channel_row)
            self._channels = []
            if len(channels) > 1:
                self._channel_row.addWidget(label("Channels", "muted"))
                self._channel_row.addStretch(1)
                self._channels = [self._channel(at) for at in range(len(channels))]
                for before, after in itertools.pairwise((self._gamma[0], *self._channels)):
                    self.setTabOrder(before, after)  # else they would come last in the window
        for widget, channel in zip(self._channels, channels, strict=False):
            with QSignalBlocker(widget):
                widget.setChecked(channel.visible)
            widget.setIcon(swatch(0, channel.color if channel.visible else theme.current().strong_line))

    def _channel(self, at: int) -> QToolButton:
        widget = QToolButton()
        widget.setCheckable(True)
        widget.setAccessibleName(f"Channel {at + 1}")
        widget.setToolTip(f"Show or hide channel {at + 1}; the right button chooses its colour")
        widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        widget.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        widget.toggled.connect(partial(self._on_channel, at))
        widget.customContextMenuRequested.connect(lambda _: self.channel_color_wanted.emit(at))
        self._channel_row.addWidget(widget)
        return widget

    def _on_channel(self, at: int, on: bool) -> None:
        self._change_channel(at, visible=on)

    def set_channel_color(self, at: int, color: str) -> None:
        """Show a channel in this colour, if the image has so many: it may be another one than when it was asked."""
        if at < len(self._display.channels):
            self._change_channel(at, color=color)

    def _change_channel(self, at: int, **what: Any) -> None:
        channels = list(self._display.channels)
        channels[at] = replace(channels[at], **what)
        display = Display(tuple(channels))
        self.set_display(display, self._range)
        self.display_changed.emit(display)

    # --- what the person does --------------------------------------------------------------------------------------

    @Slot()
    def _on_opacity(self) -> None:
        self._settings = replace(
            self._settings,
            label_opacity=self._label[1].value() / 100,
            prediction_opacity=self._prediction[1].value() / 100,
        )
        self.set_settings(self._settings)
        self.settings_changed.emit(self._settings)

    @Slot(bool)
    def _on_image(self, on: bool) -> None:
        self._settings = replace(self._settings, image=on)
        self.set_settings(self._settings)
        self.settings_changed.emit(self._settings)

    @Slot()
    def _on_contrast(self) -> None:
        if self.sender() is self._gamma[0]:
            gamma = _slider_to_gamma(self._gamma[0].value())
            self._choose(Display(tuple(replace(channel, gamma=gamma) for channel in self._display.channels)))
            return
        least, most = self._range
        low = least + self._low[0].value() / STEPS * (most - least)
        high = least + self._high[0].value() / STEPS * (most - least)
        if high <= low:  # the one that is moved pushes the other
            step = (most - least) / STEPS
            if self.sender() is self._low[0]:
                high = low + step
            else:
                low = high - step
        self._choose(self._display.windowed(low, high, _slider_to_gamma(self._gamma[0].value())))

    def _choose(self, display: Display) -> None:
        self.set_display(display, self._range)
        self.display_changed.emit(display)


def _slider_to_gamma(value: int) -> float:
    """Return 0.25 … 4, 1 in the middle."""
    return round(float(4.0 ** (value / STEPS * 2 - 1)), 2)


def _gamma_to_slider(gamma: float) -> float:
    return (math.log(gamma, 4) + 1) / 2 * STEPS
