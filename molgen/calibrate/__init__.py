"""Fits after training, on weights that stay as they are: ``molgen calibrate``."""
