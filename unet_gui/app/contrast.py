"""How the images of a folder are shown, from one to the next: each with its own contrast window, or all with one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from unet_gui.app.canvas.display import ChannelDisplay, Display


@dataclass(frozen=True)
class Contrast:
    """What the person has chosen.

    Attributes
    ----------
    auto : bool
        Images of 8 bit get a contrast window of their own, as all others do anyway.
    dtype : str
        Type of the pixels that `display` is for; values of another type mean something else.
    display : Display or None
        What was set by hand.
    windowed : bool
        Its contrast windows are meant, not only which channels show and in which colours.
    """

    auto: bool = False
    dtype: str = ""
    display: Display | None = None
    windowed: bool = False

    def of(self, dtype: str, display: Display) -> Display:
        """Return how an image is shown that would be shown like ``display`` by itself."""
        kept = self.display
        if kept is None or dtype != self.dtype or len(kept.channels) != len(display.channels):
            return display
        if self.windowed:
            return kept
        pairs = zip(display.channels, kept.channels, strict=True)
        return Display(tuple(replace(own, color=kept.color, visible=kept.visible) for own, kept in pairs))

    def chosen(self, dtype: str, before: Display, display: Display) -> Contrast:
        """Return what holds when the person changes an image's display by hand, or says that it is right as it is."""
        moved = before == display or _windows(before) != _windows(display)
        windowed = moved or (self.windowed and dtype == self.dtype)
        return Contrast(self.auto and not windowed, dtype, display, windowed)

    def to_json(self) -> dict[str, Any]:
        """Return what the settings keep."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Any) -> Contrast:
        """Return what the settings have kept; the default for anything strange."""
        try:
            shown = data["display"]
            display = None if shown is None else Display(tuple(ChannelDisplay(**each) for each in shown["channels"]))
            return cls(bool(data["auto"]), str(data["dtype"]), display, bool(data["windowed"]))
        except (TypeError, KeyError):
            return cls()


def _windows(display: Display) -> list[tuple[float, float, float]]:
    return [(channel.low, channel.high, channel.gamma) for channel in display.channels]
