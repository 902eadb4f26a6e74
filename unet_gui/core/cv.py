"""OpenCV, imported in one place: everything in the project uses ``from unet_gui.core.cv import cv2``.

Importing opencv-python points Qt's plugin variables at OpenCV's own copy of Qt, which stops PySide6 from
starting, and appends an empty entry to the library path of child processes. Both are put back here. OpenCV's
messages on stderr are turned off (a bad picture becomes an `ImageError`), and its limit on the size of a picture
is raised to ours.
"""

from __future__ import annotations

import os

MAX_PIXELS = 2**31
"""Largest picture that is opened, in pixels (a 46 340 × 46 340 square); a header that claims more is refused."""

_LEAVE_ALONE = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR", "LD_LIBRARY_PATH")
_before = {name: os.environ.get(name) for name in _LEAVE_ALONE}

# OpenCV reads these once, when its library is loaded
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MAX_PIXELS))
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2  # noqa: E402

for _name, _value in _before.items():
    if _value is None:
        os.environ.pop(_name, None)
    else:
        os.environ[_name] = _value

if hasattr(cv2, "setLogLevel"):  # OpenCV 4
    cv2.setLogLevel(0)
else:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

__all__ = ["MAX_PIXELS", "cv2"]
