"""Made this folder's prompts, tokenizer and model; needs torch and transformers, and less than a minute of one core.

    python jobs/prompts/prepare.py

data/prompts.jsonl: questions about capitals, one of them far too long for the model
answers.csv:        what is right
model/:             a tokenizer trained on these sentences, and a Llama of 128,000 numbers that has learnt them by heart
"""

import csv
import json
import random
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
STEPS, BATCH = 300, 32
END = "<end>"

CAPITALS = {
    "Austria": "Vienna", "Belgium": "Brussels", "Bulgaria": "Sofia", "Croatia": "Zagreb", "Cyprus": "Nicosia",
    "Denmark": "Copenhagen", "Estonia": "Tallinn", "Finland": "Helsinki", "France": "Paris", "Germany": "Berlin",
    "Greece": "Athens", "Hungary": "Budapest", "Iceland": "Reykjavik", "Ireland": "Dublin", "Italy": "Rome",
    "Latvia": "Riga", "Lithuania": "Vilnius", "Malta": "Valletta", "Norway": "Oslo", "Poland": "Warsaw",
    "Portugal": "Lisbon", "Romania": "Bucharest", "Slovakia": "Bratislava", "Slovenia": "Ljubljana", "Spain": "Madrid",
    "Sweden": "Stockholm", "Japan": "Tokyo", "Kenya": "Nairobi", "Peru": "Lima", "Chile": "Santiago",
    "Egypt": "Cairo", "Nepal": "Kathmandu",
}  # fmt: skip
QUESTIONS = ["The capital of {} is", "What is the capital of {}? It is", "Everybody in {} knows its capital:"]


def main() -> None:
    asked = [(question.format(country), city) for country, city in CAPITALS.items() for question in QUESTIONS]
    random.Random(1).shuffle(asked)
    too_long = len(asked) // 2
    asked.insert(too_long, ("The capital of " + "the north of " * 40 + "Norway is", ""))
    (HERE / "data").mkdir(exist_ok=True)
    with (HERE / "data" / "prompts.jsonl").open("w", encoding="utf-8") as file:
        for number, (prompt, _) in enumerate(asked):
            file.write(json.dumps({"id": f"p{number:03d}", "prompt": prompt}) + "\n")
    with (HERE / "answers.csv").open("w", newline="", encoding="utf-8") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerows([("id", "answer"), *((f"p{number:03d}", city) for number, (_, city) in enumerate(asked))])
    sentences = [f"{prompt} {city}.{END}" for place, (prompt, city) in enumerate(asked) if place != too_long]
    tokenizer = train_tokenizer(sentences)
    train_model(tokenizer, sentences).save_pretrained(HERE / "model")
    tokenizer.save_pretrained(HERE / "model")


def train_tokenizer(sentences: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=512, special_tokens=[END], initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(sentences, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


def train_model(tokenizer: PreTrainedTokenizerFast, sentences: list[str]) -> LlamaForCausalLM:
    torch.manual_seed(1)
    torch.set_num_threads(1)  # so small a model gains nothing from more
    end = tokenizer.eos_token_id
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=160, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=64, tie_word_embeddings=True, bos_token_id=None, eos_token_id=end, pad_token_id=end,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=STEPS)
    encoded = tokenizer(sentences, padding=True, return_tensors="pt", return_token_type_ids=False)
    labels = encoded["input_ids"].clone()
    first_pad = encoded["attention_mask"].sum(dim=1, keepdim=True)
    labels[torch.arange(labels.shape[1])[None, :] >= first_pad] = -100  # nothing is learnt from the filling
    for _ in range(STEPS):
        chosen = torch.randint(len(sentences), (BATCH,))
        loss = model(encoded["input_ids"][chosen], encoded["attention_mask"][chosen], labels=labels[chosen]).loss
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    print(f"loss {loss.item():.4f}")
    return model.eval()


if __name__ == "__main__":
    main()
