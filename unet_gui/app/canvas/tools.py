"""The tools, in the order of the toolbar."""

from __future__ import annotations

from unet_gui.app.canvas.paint_tools import BrushTool, EraserTool, FillTool, PanTool, PickTool
from unet_gui.app.canvas.tool import Tool

TOOLS: tuple[type[Tool], ...] = (BrushTool, EraserTool, FillTool, PickTool, PanTool)
"""Each with its ``info``: id, text, shortcut, tooltip, icon."""

TOOL_BY_ID: dict[str, type[Tool]] = {tool.info.id: tool for tool in TOOLS}
