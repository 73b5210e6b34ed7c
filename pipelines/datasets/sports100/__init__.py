"""100 Sports Image Classification."""
