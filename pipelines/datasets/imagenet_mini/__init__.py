"""ImageNet 1000 (mini)."""
