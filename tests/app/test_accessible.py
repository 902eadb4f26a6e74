"""Everything a person can operate has a name that a screen reader can say, and can be reached with the Tab key."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAccessible, QImage
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractScrollArea,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QScrollBar,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from tests.app.kit import write_folder
from unet_gui.app import theme
from unet_gui.app.actions import TIP_WIDTH
from unet_gui.app.main_window import MainWindow
from unet_gui.app.messages import Message, Offer

Open = Callable[[Path | None], MainWindow]
CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QCheckBox,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QProgressBar,
    QAbstractScrollArea,
)


def controls(root: QWidget) -> Iterator[QWidget]:
    """Every control in a window, also those that are hidden now; not the inner parts of Qt's own widgets."""
    for widget in root.findChildren(QWidget):
        around = widget.parent(), widget.parent().parent()
        inner = any(isinstance(each, (QAbstractSpinBox, QComboBox)) for each in around)
        inner = inner or widget.objectName().startswith("qt_")
        plain = isinstance(widget, (QScrollBar, QScrollArea, QHeaderView))
        if isinstance(widget, CONTROLS) and not inner and not plain:
            yield widget


def name_of(widget: QWidget) -> str:
    """What a screen reader says of a widget."""
    interface = QAccessible.queryAccessibleInterface(widget)
    assert interface is not None, widget
    return widget.accessibleName() or interface.text(QAccessible.Text.Name)


def nameless(root: QWidget) -> list[str]:
    return [
        f"{type(widget).__name__} in {type(widget.parent()).__name__}, tooltip {widget.toolTip()!r}"
        for widget in controls(root)
        if not any(letter.isalnum() for letter in name_of(widget))
    ]


@pytest.fixture
def window(open_window: Open, tmp_path: Path) -> MainWindow:
    window = open_window(write_folder(tmp_path / "x"))
    window.show_message(Message("error", "It does not work.", "Because.", "x", (Offer("Try again", lambda: None),)))
    window.actions_by_id["guide"].setChecked(True)
    return window


def test_every_control_of_the_window_has_a_name(window: MainWindow) -> None:
    found = list(controls(window))
    assert len(found) > 60, "the walk finds the controls"
    assert not nameless(window)


def test_the_start_page_too(open_window: Open) -> None:
    assert not nameless(open_window(None))


@pytest.mark.parametrize(
    "name", ["settings", "shortcuts", "model_settings", "encoding", "export", "import", "about", "labels_elsewhere"]
)
def test_every_control_of_the_dialogs_has_a_name(qtbot: QtBot, window: MainWindow, name: str) -> None:
    before = set(window.findChildren(QDialog))
    window.actions_by_id[name].trigger()
    opened = [dialog for dialog in window.findChildren(QDialog) if dialog not in before]
    assert opened
    for dialog in opened:
        assert not nameless(dialog)
        assert dialog.windowTitle()


def test_every_control_in_sight_is_reached_with_tab(window: MainWindow) -> None:
    """From the canvas on, Tab comes past every control that can be used now, and back."""
    wanted = {
        widget
        for widget in controls(window)
        if widget.isVisible()
        and widget.isEnabled()
        and not isinstance(widget, QProgressBar)
        and not widget.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        and widget.focusPolicy() != Qt.FocusPolicy.NoFocus
    }
    reachless = [
        widget
        for widget in controls(window)
        if widget.isVisible()
        and isinstance(widget, (QAbstractButton, QLineEdit, QAbstractSlider))
        and not widget.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        and not widget.focusPolicy() & Qt.FocusPolicy.TabFocus
    ]
    assert not reachless, [name_of(widget) for widget in reachless]
    window.activateWindow()
    window.stage.canvas.setFocus()
    seen: set[QWidget] = set()
    for _ in range(300):
        focus = window.focusWidget()
        assert focus is not None
        if focus in seen and focus is window.stage.canvas:
            break
        seen.add(focus)
        QTest.keyClick(focus, Qt.Key.Key_Tab)
    left = wanted - seen
    assert not left, [f"{type(widget).__name__} {name_of(widget)}" for widget in left]


def test_what_changes_is_said(window: MainWindow) -> None:
    """Names follow what the control shows: the class that is painted, the size of the brush, the tool."""
    window.session.active_class = 0
    assert "background" in name_of(window.stage.chips.class_chip)
    window.stage.canvas.set_brush_size(33)
    assert "33" in name_of(window.stage.chips.size_chip)
    assert name_of(window.stage.canvas) == "Canvas"


def test_tooltips_name_the_tool_and_its_key_in_short_lines(window: MainWindow) -> None:
    actions = window.actions_by_id
    for name, spec in actions.specs.items():
        head, *lines = re.sub("</?(p|b)( [^>]*)?>", "", actions[name].toolTip()).split("<br>")
        head, lines = html.unescape(head), [html.unescape(line) for line in lines]
        assert head.replace("\xa0\xa0", " ") == f"{spec.text.rstrip('…')} {actions.shown_keys(name)}".strip()
        assert not [line for line in lines if len(line) > TIP_WIDTH]
        assert spec.tip in (spec.text, " ".join(lines))
    actions.set_keys({"tool_brush": ["Ctrl+Alt+B"]})
    brush = next(each for each in window.tool_bar.findChildren(QToolButton) if each.accessibleName() == "Brush")
    assert actions.shown_keys("tool_brush") in brush.toolTip()
    assert brush.accessibleDescription().endswith(f"({actions.shown_keys('tool_brush')})")


def test_what_a_screen_reader_says_is_plain_text(window: MainWindow) -> None:
    said = [QAccessible.queryAccessibleInterface(widget) for widget in controls(window)]
    texts = [each.text(role) for each in said for role in (QAccessible.Text.Name, QAccessible.Text.Description)]
    assert any("Let the model look" in text or "Save the labels" in text for text in texts)
    assert not [text for text in texts if "<" in text or "&nbsp;" in text]
    for action in window.actions():
        assert "<" not in action.whatsThis() + action.statusTip()


@pytest.mark.parametrize("name", sorted(theme.THEMES))
def test_lists_show_where_the_focus_is_and_which_row_is_chosen(
    qtbot: QtBot, open_window: Open, tmp_path: Path, name: str
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    theme.apply(app, theme.THEMES[name])
    window.activateWindow()
    colors = theme.THEMES[name]

    def shown(view: QAbstractItemView) -> set[str]:
        """The colours of a line across the middle of the row, and of its lower edge."""
        rect = view.visualRect(view.currentIndex())
        image = view.viewport().grab(rect).toImage()
        x = image.width() // 2
        return {image.pixelColor(x, y).name() for y in (2, image.height() - 1)}

    for view in (window.images.list, window.classes.list):
        window.stage.canvas.setFocus()
        assert colors.selected in shown(view)
        assert colors.accent not in shown(view)
        view.setFocus(Qt.FocusReason.TabFocusReason)
        qtbot.waitUntil(view.hasFocus)
        assert shown(view) == {colors.selected, colors.accent}, "an edge says that the keys go here"
    theme.apply(app, theme.DARK)


def test_the_edge_of_a_button_says_where_the_focus_is_and_nothing_covers_its_text(
    qtbot: QtBot, open_window: Open, tmp_path: Path
) -> None:
    window = open_window(write_folder(tmp_path / "x"))
    box = QDialog(window)
    row = QHBoxLayout(box)
    for text in ("Remove", "Cancel"):
        choice = QPushButton(text)
        choice.setAutoDefault(False)  # else the one with the focus is filled
        row.addWidget(choice)
    choice.setDefault(True)

    def look(button: QAbstractButton) -> tuple[QImage, QImage]:
        """The button as it looks, and the same without its edge."""
        image = button.grab().toImage()
        return image, image.copy(image.rect().adjusted(3, 3, -3, -3))

    for root in (window, box):
        root.show()
        root.activateWindow()
        qtbot.waitUntil(root.isActiveWindow)
        buttons = [each for each in root.findChildren(QAbstractButton) if each.isVisible() and each.isEnabled()]
        buttons = [each for each in buttons if each.focusPolicy() != Qt.FocusPolicy.NoFocus]
        for button in buttons:
            other = buttons[0] if button is not buttons[0] else buttons[1]
            other.setFocus(Qt.FocusReason.TabFocusReason)
            without = look(button)
            button.setFocus(Qt.FocusReason.TabFocusReason)
            assert button.hasFocus()
            root.setAttribute(Qt.WidgetAttribute.WA_KeyboardFocusChange)  # as after Tab
            whole, inner = look(button)
            name = button.accessibleName() or button.text()
            assert whole != without[0], f"nothing shows that {name} has the focus"
            if not isinstance(button, QCheckBox):  # whose own edge, inside, says so
                assert inner == without[1], name
    box.close()
