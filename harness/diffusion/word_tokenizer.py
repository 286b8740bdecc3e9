"""A CLIP tokenizer for a few words, built here: byte-pair encoding in CLIP's own file format, no download.

In: words. Out: a `CLIPTokenizer` for which each of them is one token, and any other text falls into smaller pieces.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

END_OF_WORD = "</w>"
SPECIAL = ("<|startoftext|>", "<|endoftext|>")

Pair = tuple[str, str]


def word_tokenizer(words: Iterable[str], *, max_length: int) -> Any:
    """Return a `CLIPTokenizer` that knows `words` (lower-cased, letters only) as one token each.

    Args:
        words: in any order, repeats allowed.
        max_length: tokens of a prompt, the two marks included.
    """
    from transformers import CLIPTokenizer

    merges = byte_pair_merges(sorted({w.lower() for w in words}))
    alphabet = byte_alphabet()
    pieces = [*alphabet, *(letter + END_OF_WORD for letter in alphabet), *(a + b for a, b in merges), *SPECIAL]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
        lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges)]
        (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": max_length}), encoding="utf-8"
        )
        return CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def byte_pair_merges(words: list[str]) -> list[Pair]:
    """Return the merges, most frequent pair first, after which every word is one piece."""
    split = [[*word[:-1], word[-1] + END_OF_WORD] for word in words if word]
    merges: list[Pair] = []
    while True:
        pairs = Counter(pair for pieces in split for pair in pairwise(pieces))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = [_merged(pieces, best) for pieces in split]


def _merged(pieces: list[str], pair: Pair) -> list[str]:
    out: list[str] = []
    for piece in pieces:
        if out and (out[-1], piece) == pair:
            out[-1] += piece
        else:
            out.append(piece)
    return out


def byte_alphabet() -> list[str]:
    """Return the printable character that stands for each byte in byte-level BPE, printable bytes first, as GPT-2's."""
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAC + 1), *range(0xAE, 0xFF + 1)]
    others = 256 - len(printable)
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(others)]
