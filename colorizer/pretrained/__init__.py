"""Weights that others trained: reading their files, and the networks that they bring to life."""
