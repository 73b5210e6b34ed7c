"""The rooms behind `models_export.batch`: where photos lie, the model, the Beam pipeline."""
