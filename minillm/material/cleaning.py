"""Cleaning raw text before stage 1: tidy it, and remove documents that are there twice or nearly so.

Near duplicates are found by MinHash: the share of equal minima of many hash functions over the
documents' n-grams estimates the Jaccard similarity of their n-gram sets.

Sources: Broder 1997 (On the resemblance and containment of documents), Lee et al. 2021 (2107.06499).
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

N_HASHES, N_BANDS = 64, 16  # 16 bands of 4: two documents meet if one band is equal, likely from 0.5 up
INVISIBLE = "\u200b\u2060\ufeff"  # zero-width space, word joiner, byte-order mark (a joiner in emoji stays)


def clean(text: str) -> str:
    """NFC, without control characters, at most one empty line and one space in a row."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = "".join(c for c in text if c in "\n\t" or not (unicodedata.category(c) == "Cc" or c in INVISIBLE))
    text = re.sub(r"[^\S\n]+", " ", unicodedata.normalize("NFC", text))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" *\n *", "\n", text)).strip()


def ngrams(text: str, n: int = 5) -> set[str]:
    """The character n-grams of a text, letters lowered and white space folded; Chinese needs no words."""
    text = " ".join(text.lower().split())
    return {text[i : i + n] for i in range(max(1, len(text) - n + 1))}


def jaccard(a: set[str], b: set[str]) -> float:
    """Size of the intersection over size of the union; 1 for two empty sets."""
    return len(a & b) / len(a | b) if a or b else 1.0


def minhash(grams: set[str]) -> np.ndarray:
    """(64,) minima of 64 hash functions over the n-grams; equal sets have equal minima."""
    raw = [int.from_bytes(hashlib.blake2b(g.encode(), digest_size=4).digest(), "big") for g in grams]
    values = np.array(raw, dtype=np.uint64)  # (n,) below 2^32
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 1 << 64, size=(2, N_HASHES, 1), dtype=np.uint64)  # 2 x (64, 1)
    # multiply-shift: the product wraps around at 2^64, and its upper half is a fresh order of the values
    return (((a | np.uint64(1)) * values + b) >> np.uint64(32)).min(axis=1)  # (64, n) -> (64,)


def deduplicate(documents: Sequence[str], threshold: float = 0.8) -> tuple[list[str], int]:
    """Keep the first of documents that are equal or whose n-grams overlap by `threshold` or more.

    Returns the kept documents in order and the number removed. Only documents that share a band of
    their MinHash are compared, so the work grows with the documents, not with their pairs.
    """
    kept: list[str] = []
    grams_of: list[set[str]] = []
    seen: set[str] = set()
    buckets: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)
    for document in documents:
        exact = " ".join(document.split())
        if exact in seen:
            continue
        seen.add(exact)
        grams = ngrams(document)
        bands = [(i, band.tobytes()) for i, band in enumerate(minhash(grams).reshape(N_BANDS, -1))]
        candidates = {k for band in bands for k in buckets[band]}
        if any(jaccard(grams, grams_of[k]) >= threshold for k in candidates):
            continue
        for band in bands:
            buckets[band].append(len(kept))
        kept.append(document)
        grams_of.append(grams)
    return kept, len(documents) - len(kept)
