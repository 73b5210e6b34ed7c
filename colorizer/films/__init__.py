"""Films coloured frame by frame: read, steadied, painted and written as a stream."""
