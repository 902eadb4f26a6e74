"""Images, labels, history, files and metrics: numpy, OpenCV and the standard library. No Qt, no torch."""
