"""Builders for TensorFlow Datasets: the report's three photo sets, and any tree of photos."""
