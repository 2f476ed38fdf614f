"""A language model of the Llama family in plain PyTorch, as far as batch inference needs it; reads its usual files."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn import functional


class Llama:
    """One model on one device. context: how many tokens it can look at."""

    def __init__(self, config: dict[str, Any], weights: dict[str, torch.Tensor]) -> None:
        self.context: int = config["max_position_embeddings"]
        self._weights = weights
        self._layers: int = config["num_hidden_layers"]
        self._heads: int = config["num_attention_heads"]
        self._epsilon: float = config["rms_norm_eps"]
        self._end: int = config["eos_token_id"]
        size = config["hidden_size"] // self._heads
        theta = (config.get("rope_parameters") or config)["rope_theta"]
        device = weights["model.norm.weight"].device
        angles = torch.outer(
            torch.arange(self.context, device=device), theta ** (-torch.arange(0, size, 2, device=device) / size)
        )
        self._cos, self._sin = (torch.cat([table, table], dim=1) for table in (angles.cos(), angles.sin()))

    @classmethod
    def load(cls, folder: Path, device: str) -> "Llama":
        """Of a folder with config.json and model.safetensors."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return cls(config, load_file(folder / "model.safetensors", device=device))

    def generate(self, tokens: list[int], most: int) -> list[int]:
        """The most likely next tokens, one after another: up to `most`, or up to the end of the text."""
        known = list(tokens)
        with torch.inference_mode():
            while len(known) < len(tokens) + most:
                following = int(self._logits(torch.tensor(known, device=self._cos.device)).argmax())
                if following == self._end:
                    break
                known.append(following)
        return known[len(tokens) :]

    def _logits(self, tokens: torch.Tensor) -> torch.Tensor:
        """Of the token after the last one."""
        x = self._weights["model.embed_tokens.weight"][tokens]
        for layer in range(self._layers):
            prefix = f"model.layers.{layer}"
            x = x + self._attention(self._norm(x, f"{prefix}.input_layernorm"), f"{prefix}.self_attn")
            x = x + self._feed_forward(self._norm(x, f"{prefix}.post_attention_layernorm"), f"{prefix}.mlp")
        head = self._weights.get("lm_head.weight", self._weights["model.embed_tokens.weight"])
        return self._norm(x[-1], "model.norm") @ head.T

    def _attention(self, x: torch.Tensor, name: str) -> torch.Tensor:
        query, key, value = (self._split(self._linear(x, f"{name}.{part}_proj")) for part in "qkv")
        mixed = functional.scaled_dot_product_attention(self._rotate(query), self._rotate(key), value, is_causal=True)
        return self._linear(mixed.transpose(0, 1).flatten(1), f"{name}.o_proj")

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        """By head: (tokens, heads x size) to (heads, tokens, size)."""
        return x.unflatten(1, (self._heads, -1)).transpose(0, 1)

    def _rotate(self, x: torch.Tensor) -> torch.Tensor:
        """Positions as angles (RoPE)."""
        first, second = x.chunk(2, dim=-1)
        length = x.shape[1]
        return x * self._cos[:length] + torch.cat([-second, first], dim=-1) * self._sin[:length]

    def _feed_forward(self, x: torch.Tensor, name: str) -> torch.Tensor:
        gate = functional.silu(self._linear(x, f"{name}.gate_proj"))
        return self._linear(gate * self._linear(x, f"{name}.up_proj"), f"{name}.down_proj")

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ self._weights[f"{name}.weight"].T

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.rms_norm(x, x.shape[-1:], self._weights[f"{name}.weight"], self._epsilon)
