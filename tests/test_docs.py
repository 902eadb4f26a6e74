"""The documents show what is there: every tool at work, and no picture that is missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from unet_gui.app.actions import SPECS
from unet_gui.app.canvas.tools import TOOLS
from unet_gui.app.menus import _MENUS

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


@pytest.mark.parametrize("document", ["README.md", "docs/guide.md"])
def test_entries_of_menus_have_the_words_and_keys_that_the_documents_say(document: str) -> None:
    """``*File ▸ Open folder* (Ctrl+O)`` is in that menu, in these words, with that key."""
    text = (ROOT / document).read_text("utf-8")
    texts = {spec.id: spec.text.rstrip("…") for spec in SPECS}
    keys = {spec.text.rstrip("…"): spec.keys for spec in SPECS}
    menus = {menu.strip("&"): {texts[each] for each in ids if each in texts} for menu, ids in _MENUS.items()}
    menus["Label"].add("Whole image")
    told = re.findall(r"\*(?:(\w+)\s▸\s)?([^*▸]+)\*{1,2}(?:\s\(((?:Ctrl\+|Shift\+)*\w+)\))?", text)
    wrong = [(menu, entry) for menu, entry, _ in told if menu and entry.rstrip("…") not in menus.get(menu, ())]
    wrong += [(entry, key) for _, entry, key in told if key and key not in keys.get(entry.rstrip("…"), (key,))]
    assert wrong == []
    assert any(key for *_, key in told)
