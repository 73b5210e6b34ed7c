"""The supervised recipe on Keras's JAX backend: a GPU machine without TensorFlow makes weights."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from colorizer.models.lite_unet import build_lite_unet

ROOT = Path(__file__).resolve().parents[2]
# Keras chooses its backend when it is imported, so JAX has a process of its own.
TRAINING = """
import json, sys

sys.modules["tensorflow"] = None  # As where it is not installed.
import keras
import numpy as np

from colorizer.losses import class_cross_entropy
from colorizer.models.lite_unet import LOGITS, build_lite_unet, freeze_encoder
from colorizer.pretrained.folding import load_folded_imagenet_weights

assert keras.backend.backend() == "jax"
keras.utils.set_random_seed(0)
folder, lightness, ab = sys.argv[1], np.load(sys.argv[2]), np.load(sys.argv[3])
network = build_lite_unet(64, head="classes")
load_folded_imagenet_weights(network, "lite0")
freeze_encoder(network, 5)
model = keras.Model(network.input, network.get_layer(LOGITS).output)
model.compile(optimizer=keras.optimizers.AdamW(1e-3), loss=class_cross_entropy)
losses = model.fit(lightness, ab, epochs=4, batch_size=4, verbose=0).history["loss"]
network.save_weights(f"{folder}/trained.weights.h5")
np.savez(f"{folder}/trained.npz", *network.get_weights())
np.save(f"{folder}/ab.npy", network.predict(lightness, verbose=0))
print(json.dumps(losses))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with what a few steps on JAX have made."""
    folder = tmp_path_factory.mktemp("jax")
    random = np.random.default_rng(0)
    for name, channels in (("lightness", 1), ("true", 2)):
        values = random.uniform(-0.3, 0.3, (4, 64, 64, channels)).astype(np.float32)
        np.save(folder / f"{name}.npy", values)
    inputs = [str(folder / name) for name in ("lightness.npy", "true.npy")]
    done = subprocess.run(
        [sys.executable, "-c", TRAINING, str(folder), *inputs],
        env=os.environ | {"KERAS_BACKEND": "jax", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (folder / "losses.json").write_text(done.stdout)
    return folder


def test_it_trains(trained):
    losses = [
        float(value) for value in (trained / "losses.json").read_text().strip("[]\n").split(",")
    ]
    assert len(losses) == 4 and losses[-1] < losses[0]


def test_its_weights_are_the_same_in_tensorflow(trained):
    network = build_lite_unet(64, head="classes")
    network.load_weights(trained / "trained.weights.h5")
    with np.load(trained / "trained.npz") as stored:
        weights = network.get_weights()
        assert len(weights) == len(stored.files)
        for ours, name in zip(weights, stored.files, strict=True):
            np.testing.assert_array_equal(ours, stored[name])
    ab = network.predict(np.load(trained / "lightness.npy"), verbose=0)
    np.testing.assert_allclose(ab, np.load(trained / "ab.npy"), atol=1e-5)
