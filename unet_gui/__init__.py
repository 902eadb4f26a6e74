"""unet-gui: annotate and segment images with a U-Net."""

import os

__version__ = "0.1.0"

# torch's threads wait for each other some hundred times in a training step, and by default burn a core while they do.
# Where another program wants that core, a step then takes 10 to 40 times as long. A short wait costs nothing on an
# idle machine. It is read when the library is loaded, which is why it stands here, before anything else.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
