"""CelebA-HQ resized (256 x 256)."""
