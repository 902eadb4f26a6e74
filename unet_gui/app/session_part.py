"""What the parts of a session have in common."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unet_gui.app.session import Session


class SessionPart:
    """A part of a session, which does not keep the session alive.

    Objects that hold each other are collected in whatever thread is running then, and a session has timers, which
    only its own thread may end.
    """

    def __init__(self, session: Session) -> None:
        self._owner = weakref.ref(session)

    @property
    def _session(self) -> Session:
        session = self._owner()
        assert session is not None, "a part is asked by its session alone, or through it"
        return session
