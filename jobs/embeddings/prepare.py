"""Made this folder's data and the encoder; needs scikit-learn.

    python jobs/embeddings/prepare.py

data/messages.jsonl: 600 messages to a service desk, put together from phrases; no real ones
topics.csv:          what each is about, and whether the encoder has seen it (`split` is `train`)
encoder.npz:         latent semantic analysis of the others: a singular value decomposition of weighted word counts
"""

import csv
import json
import random
from pathlib import Path

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer

HERE = Path(__file__).resolve().parent
PER_TOPIC, DIMENSIONS = 100, 24

TOPICS = {
    "printer": (
        ["the printer", "the copier", "the scanner on the second floor", "the label printer"],
        ["jams paper", "prints blank pages", "is out of toner", "shows a red light", "smears the ink", "tears sheets"],
        ["I cleaned the rollers", "the tray is full", "the cartridge is new", "I restarted the print queue"],
    ),
    "password": (
        ["my password", "my account", "the login of a new colleague", "my smart card PIN"],
        ["has expired", "is locked", "is not accepted", "was reset by mistake", "asks for a second factor again"],
        ["I tried to sign in three times", "the reset mail never came", "the authenticator shows no code"],
    ),
    "network": (
        ["the wireless network", "the VPN", "the cable in room 12", "the connection at home"],
        ["drops every hour", "is very slow", "gives no address", "loses packets", "cannot be reached"],
        ["I restarted the router", "the ping takes seconds", "other laptops connect", "the adapter is enabled"],
    ),
    "mail": (
        ["my mailbox", "the calendar", "a shared inbox", "the newsletter list"],
        ["is full", "does not send attachments", "shows meetings twice", "sorts invitations into spam"],
        ["I emptied the trash folder", "the recipient sees nothing", "the signature is missing as well"],
    ),
    "travel": (
        ["my trip to Lisbon", "the train ticket", "the hotel booking", "the refund of my journey"],
        ["was cancelled", "is not approved yet", "has the wrong date", "costs more than allowed", "lacks a receipt"],
        ["the flight leaves on Monday", "I paid with my own card", "the conference pays the hotel"],
    ),
    "cluster": (
        ["my batch job", "the queue", "a node of the cluster", "the scratch file system"],
        ["waits for days", "ran out of memory", "was killed at the time limit", "finds no GPU", "is over quota"],
        ["the same script ran last week", "I asked for four nodes", "the log ends without an error"],
    ),
}
OPENINGS = ["Hello,", "Good morning,", "Hi all,", "Dear support,", "Sorry to bother you:"]
CLOSINGS = ["Can you help?", "Thank you!", "It is urgent.", "No hurry.", "Please call me back."]


def main() -> None:
    chance = random.Random(1)
    messages = []
    for topic, (things, troubles, details) in TOPICS.items():
        for _ in range(PER_TOPIC):
            sentence = f"{chance.choice(things)} {chance.choice(troubles)}, {chance.choice(details)}."
            text = f"{chance.choice(OPENINGS)} {sentence} {chance.choice(CLOSINGS)}"
            messages.append((topic, text, "test" if chance.random() < 0.3 else "train"))
    chance.shuffle(messages)

    (HERE / "data").mkdir(exist_ok=True)
    with (HERE / "data" / "messages.jsonl").open("w", encoding="utf-8") as file:
        for number, (_, text, _) in enumerate(messages):
            file.write(json.dumps({"id": f"m{number:04d}", "text": text}) + "\n")
    with (HERE / "topics.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "topic", "split"])
        writer.writerows((f"m{number:04d}", topic, split) for number, (topic, _, split) in enumerate(messages))

    texts = [text for _, text, split in messages if split == "train"]
    words = CountVectorizer().fit(texts)
    weights = TfidfTransformer(norm=None).fit(words.transform(texts))
    svd = TruncatedSVD(DIMENSIONS, random_state=1).fit(weights.transform(words.transform(texts)))
    projection = (weights.idf_[:, None] * svd.components_.T).astype(np.float32)
    np.savez(HERE / "encoder.npz", words=words.get_feature_names_out().astype(str), projection=projection)


if __name__ == "__main__":
    main()
