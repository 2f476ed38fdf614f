"""Entry script: which digit is on each image.

`init()` loads the network once per executor; `run()` is called with a list of image paths and returns one
line per image, "<file name>: <digit>". Nothing here knows of mpibatch: Azure's ParallelRunStep takes the same script.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

SIDE = 28  # pixels: what the network was trained on

score: Any = None  # images to scores, one row of ten per image; set by init()


def init() -> None:
    global score  # noqa: PLW0603 - the contract of entry scripts: init() leaves behind what run() uses
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", help="the trained network, a .keras file [the registered model `digits`]")
    # Unknown arguments are left to whoever started the script.
    arguments, _ = parser.parse_known_args()

    share_the_machine()
    model = tf.keras.models.load_model(arguments.model or registered_model(), compile=False)

    # Compiled once, for mini-batches of any size.
    score = tf.function(
        lambda images: model(images, training=False),
        input_signature=[tf.TensorSpec((None, SIDE, SIDE, 1), tf.float32)],
        autograph=False,
    )
    score(tf.zeros((1, SIDE, SIDE, 1)))  # the slow first call belongs to init(), not to the first mini-batch


def registered_model() -> str:
    from azureml.core import Model

    return str(Model.get_model_path("digits"))


def share_the_machine() -> None:
    """Keeps TensorFlow to the cores and to the share of the GPU that are this process's own."""
    threads = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if threads.isdigit():
        tf.config.threading.set_intra_op_parallelism_threads(int(threads))
        tf.config.threading.set_inter_op_parallelism_threads(1)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)  # otherwise the first executor takes all of it


def run(mini_batch: list[str]) -> list[str]:
    images = np.stack([read(path) for path in mini_batch])
    digits = score(tf.constant(images)).numpy().argmax(axis=1)
    return [f"{Path(path).name}: {digit}" for path, digit in zip(mini_batch, digits, strict=True)]


def read(path: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The grey values of one image, 0 to 255."""
    with Image.open(path) as image:
        grey = image.convert("L")
    if grey.size != (SIDE, SIDE):
        grey = grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(grey, dtype=np.float32)[..., None]
