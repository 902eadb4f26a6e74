"""unet-gui: annotate and segment images with a U-Net."""

__version__ = "0.1.0"
