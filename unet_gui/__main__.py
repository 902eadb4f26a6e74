"""``python -m unet_gui`` is the same as ``unet-gui``."""

import sys

from unet_gui import interrupt


def main() -> int:
    """Run the command line; Ctrl-C is heard from here on."""
    with interrupt.listening(last=True):
        from unet_gui.cli import main as run

        return run()


if __name__ == "__main__":
    sys.exit(main())
