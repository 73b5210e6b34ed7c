"""Trained networks for use elsewhere: SavedModel signatures, export, verification, versions."""
