"""Makes everything the job reads: the PNGs in data/, labels.csv, and model/digits.keras.

    scikit-learn's 1,797 scans, 8x8 --enlarge--> data/digit_NNNN.png, 28x28 --"train"--> model/digits.keras
                                                 labels.csv: file, label, split --"test"--> accuracy, printed

All of it is committed, so the job runs without this script. The images and labels come out the same every
time; the weights do so for one version of TensorFlow on one kind of processor.

    python jobs/digits/prepare.py        # needs tensorflow and scikit-learn; about a minute on two cores
"""

import csv
import json
import os
import zipfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is imported

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
DATA, LABELS, MODEL = HERE / "data", HERE / "labels.csv", HERE / "model" / "digits.keras"
SEED = 20240601
HELD_OUT = 360  # a fifth of the scans, each digit in proportion
SIDE = 28
EPOCHS = 40

Pixels = npt.NDArray[np.uint8]


def enlarge(scan: npt.NDArray[np.float64]) -> Pixels:
    """One scan of 8x8 values from 0 to 16 as 28x28 grey values, white on black."""
    grey = Image.fromarray(np.round(scan * (255 / 16)).astype(np.uint8))
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def write_data() -> tuple[Pixels, npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Writes the images and labels.csv; returns pixels, labels, and which scans are held out."""
    digits = load_digits()
    pixels = np.stack([enlarge(scan) for scan in digits.images])
    labels = digits.target.astype(np.int64)
    _, held_out = train_test_split(np.arange(len(labels)), test_size=HELD_OUT, stratify=labels, random_state=SEED)
    is_held_out = np.zeros(len(labels), dtype=bool)
    is_held_out[held_out] = True

    DATA.mkdir(exist_ok=True)
    with LABELS.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["file", "label", "split"])
        for number, (image, label, test) in enumerate(zip(pixels, labels, is_held_out, strict=True)):
            name = f"digit_{number:04d}.png"
            Image.fromarray(image).save(DATA / name, optimize=True)
            rows.writerow([name, int(label), "test" if test else "train"])
    return pixels, labels, is_held_out


def build() -> tf.keras.Model:
    """A small convolutional network from grey values 0..255 to ten scores."""
    layers = tf.keras.layers
    return tf.keras.Sequential(
        [
            tf.keras.Input((SIDE, SIDE, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.4),
            layers.Dense(48, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(10),
        ]
    )


def train(pixels: Pixels, labels: npt.NDArray[np.int64]) -> tf.keras.Model:
    tf.keras.utils.set_random_seed(SEED)
    model = build()
    steps = EPOCHS * -(-len(labels) // 32)
    model.compile(
        optimizer=tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(2e-3, steps)),
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    # Each scan is seen slightly turned, moved and scaled, since so few of them would be learnt by heart.
    vary = tf.keras.Sequential(
        [
            tf.keras.layers.RandomRotation(0.03, fill_mode="constant"),
            tf.keras.layers.RandomTranslation(0.08, 0.08, fill_mode="constant"),
            tf.keras.layers.RandomZoom(0.1, fill_mode="constant"),
        ]
    )
    images = (
        tf.data.Dataset.from_tensor_slices((pixels[..., None].astype(np.float32), labels))
        .shuffle(len(labels), seed=SEED)
        .batch(32)
        .map(lambda image, label: (vary(image, training=True), label))
    )
    model.fit(images, epochs=EPOCHS, shuffle=False, verbose=0)
    return model


def save(model: tf.keras.Model) -> None:
    """Saves layers and weights in a form that every Keras 3 reads, and the same file for the same weights."""
    MODEL.parent.mkdir(exist_ok=True)
    inference = tf.keras.Sequential.from_config(model.get_config())  # without the optimizer and its state
    inference.set_weights(model.get_weights())
    inference.save(MODEL)
    with zipfile.ZipFile(MODEL) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["config.json"] = json.dumps(portable(json.loads(entries["config.json"]))).encode()
    entries["metadata.json"] = json.dumps({"keras_version": "3.0.5", "date_saved": ""}).encode()
    with zipfile.ZipFile(MODEL, "w") as archive:
        for name, data in entries.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)  # ZipInfo: a fixed date


# Settings that came after Keras 3.0, whose layers refuse a name that they do not know, even with no value.
NEWER_SETTINGS = {"quantization_config", "input_axes", "output_axes", "optional", "ragged"}


def portable(node: object) -> object:
    """A model's configuration without newer settings that are not in use, and with types by plain names."""
    if isinstance(node, list):
        return [portable(value) for value in node]
    if not isinstance(node, dict):
        return node
    if node.get("class_name") == "DTypePolicy":
        return node["config"]["name"]
    return {key: portable(value) for key, value in node.items() if value or key not in NEWER_SETTINGS}


def main() -> None:
    pixels, labels, held_out = write_data()
    save(train(pixels[~held_out], labels[~held_out]))
    scores = tf.keras.models.load_model(MODEL).predict(pixels[..., None], verbose=0, batch_size=64)
    right = scores.argmax(axis=1) == labels
    best = np.sort(scores, axis=1)
    print(f"images: {len(labels)}, of which held out: {held_out.sum()}")
    print(f"held-out accuracy: {right[held_out].mean():.4f} ({right[held_out].sum()} of {held_out.sum()})")
    print(f"training accuracy: {right[~held_out].mean():.4f}")
    # Scores change by about 1e-5 with the size of the mini-batch; digits do not while this is far above that.
    print(f"closest two best scores of any image: {(best[:, -1] - best[:, -2]).min():.4f}")
    print(f"model: {MODEL.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
