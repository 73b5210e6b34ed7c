"""Photos in and out: from any common file to upright 8-bit sRGB, and back into PNG or JPEG."""
