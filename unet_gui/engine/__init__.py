"""The U-Net: training, prediction, model files. torch, no Qt. Importing this package does not import torch."""
