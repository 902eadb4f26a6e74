"""The documents show what is there: every tool at work, and no picture that is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from unet_gui.app.canvas.tools import TOOLS

ROOT = Path(__file__).resolve().parents[1]
WITHOUT_PICTURE = {"pick", "pan"}  # they show nothing of their own


@pytest.mark.parametrize("document", ["README.md", *(f"docs/{p.name}" for p in sorted((ROOT / "docs").glob("*.md")))])
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#]+)", text) if "://" not in t]
    missing = [t for t in targets if not (ROOT / document).parent.joinpath(t).exists()]
    assert missing == []


def test_every_tool_is_in_the_guide_at_work() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text("utf-8")
    shown = set(re.findall(r"pictures/tools/([a-z-]+)\.png", guide))
    assert shown == {tool.info.id for tool in TOOLS} - WITHOUT_PICTURE
    for tool in TOOLS:
        assert re.search(rf"\b{re.escape(tool.info.shortcut)}\b", guide), tool.info.text
