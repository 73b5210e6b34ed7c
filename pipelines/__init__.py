"""What a batch is: colour space, finding and decoding photos, tf.data input pipelines."""

import os

# By itself TensorFlow takes oneDNN's kernels only where the CPU has AVX-512's neural network
# instructions; without those they are faster too (benchmarks/RESULTS.md, "Inference"). It reads
# this when it is imported, which all that does so here does after this.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
