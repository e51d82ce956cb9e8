"""Base models, adapter methods and the device they run on."""
