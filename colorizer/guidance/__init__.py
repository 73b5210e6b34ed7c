"""What a person can say about the colours: hints, a reference photo's palette, another sample."""
