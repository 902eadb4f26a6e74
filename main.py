"""Start unet-gui from a checkout: ``python main.py`` is the same as ``unet-gui``."""

import sys

from unet_gui.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
