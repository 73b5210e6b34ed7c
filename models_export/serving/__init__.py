"""A server that speaks TensorFlow Serving's interface; `python -m models_export.serve` runs it."""
