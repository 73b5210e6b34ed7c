"""How many threads tf.data's operations take."""

import tensorflow as tf


def fixed_parallelism(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Lets each `AUTOTUNE` of a dataset mean a thread a core, and nobody tune them.

    TensorFlow 2.21 tunes in a thread that sleeps twice as long each time, up to a minute, and
    freeing the iterator waits for it to wake up: each epoch took up to twice its time, or a minute
    more.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
