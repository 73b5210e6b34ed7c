"""Measuring a colorizer on photos, always beside gray and the training set's mean colour."""
