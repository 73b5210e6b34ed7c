"""The rooms behind `colorizer.colorize`: which photos, under which names, and the laying-on."""
