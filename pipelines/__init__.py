"""What a batch is: colour space, finding and decoding photos, tf.data input pipelines."""
