"""Completes prompts with a language model: one row of output per prompt, in their order, without sampling.

--engine vllm          many prompts at a time, the model split over the GPUs of the executor (gpus_per_process)
--engine transformers  any causal model that Hugging Face's library knows
--engine torch         the model of this folder in plain PyTorch (llama.py); Transformers is not needed
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

Complete = Callable[[list[str]], list[str]]

complete: Complete
max_tokens = 0


def init() -> None:
    """Called once per executor: loads the model."""
    global complete, max_tokens  # noqa: PLW0603  # what the script holds between calls
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--max-tokens", type=int, default=64)
    options = parser.parse_args()
    max_tokens = options.max_tokens
    complete = ENGINES[options.engine](options.model)


def run(mini_batch: pd.DataFrame) -> list[dict[str, Any]]:
    """One line of output per prompt. A prompt that the model cannot take fails the call, and is then isolated."""
    texts = complete(mini_batch["prompt"].tolist())
    return [{"id": id, "completion": text} for id, text in zip(mini_batch["id"], texts, strict=True)]


def with_vllm(model: Path) -> Complete:
    from vllm import LLM, SamplingParams

    gpus = len(os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(","))
    llm = LLM(model=str(model), tensor_parallel_size=gpus)
    sampling = SamplingParams(temperature=0, max_tokens=max_tokens)
    return lambda prompts: [output.outputs[0].text for output in llm.generate(prompts, sampling, use_tqdm=False)]


def with_transformers(model: Path) -> Complete:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    network = AutoModelForCausalLM.from_pretrained(model).to(device).eval()

    def complete(prompts: list[str]) -> list[str]:
        inputs = tokenizer(prompts, padding=True, return_tensors="pt", return_token_type_ids=False).to(device)
        length = inputs["input_ids"].shape[1]
        ensure_fits(length, network.config.max_position_embeddings)
        with torch.inference_mode():
            output = network.generate(**inputs, max_new_tokens=max_tokens, do_sample=False)
        texts: list[str] = tokenizer.batch_decode(output[:, length:], skip_special_tokens=True)
        return texts

    return complete


def with_torch(model: Path) -> Complete:
    import torch
    from llama import Llama
    from tokenizers import Tokenizer

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    network = Llama.load(model, device)

    def complete(prompts: list[str]) -> list[str]:
        encoded = [tokenizer.encode(prompt).ids for prompt in prompts]
        ensure_fits(max(map(len, encoded)), network.context)
        return [tokenizer.decode(network.generate(ids, max_tokens)) for ids in encoded]

    return complete


def ensure_fits(tokens: int, context: int) -> None:
    if tokens + max_tokens > context:
        raise ValueError(f"a prompt of {tokens} tokens and {max_tokens} more do not fit into a context of {context}")


ENGINES = {"vllm": with_vllm, "transformers": with_transformers, "torch": with_torch}
