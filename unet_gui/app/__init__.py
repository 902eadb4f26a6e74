"""The window: PySide6. torch is imported only inside a running job."""
