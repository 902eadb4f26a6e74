"""The tools, in the order of the toolbar."""

from __future__ import annotations

from unet_gui.app.canvas.blob_tools import BlobTool, GrowTool, HolesTool, SpecksTool
from unet_gui.app.canvas.edge_tools import GrabCutTool, ScissorsTool, WandTool
from unet_gui.app.canvas.model_tools import ModelBrushTool, SureTool, TakeOverTool, ThresholdTool
from unet_gui.app.canvas.paint_tools import BrushTool, EraserTool, FillTool, PanTool, PickTool
from unet_gui.app.canvas.shape_tools import EllipseTool, LassoTool, PolygonTool, RectangleTool
from unet_gui.app.canvas.tool import Tool

TOOL_GROUPS: tuple[tuple[type[Tool], ...], ...] = (
    (BrushTool, EraserTool, FillTool),
    (PolygonTool, LassoTool, RectangleTool, EllipseTool),
    (WandTool, ScissorsTool, GrabCutTool),
    (TakeOverTool, SureTool, ThresholdTool, ModelBrushTool),
    (BlobTool, HolesTool, SpecksTool, GrowTool),
    (PickTool, PanTool),
)
"""What belongs together; the toolbar separates the groups."""

TOOLS: tuple[type[Tool], ...] = tuple(tool for group in TOOL_GROUPS for tool in group)
"""Each with its ``info``: id, text, shortcut, tooltip, icon."""

TOOL_BY_ID: dict[str, type[Tool]] = {tool.info.id: tool for tool in TOOLS}
