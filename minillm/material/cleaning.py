"""Cleaning raw text before stage 1: tidy it, and remove documents that are there twice or nearly so.

Near duplicates are found by MinHash: the share of equal minima of many hash functions over the
documents' n-grams estimates the Jaccard similarity of their n-gram sets.

Sources: Broder 1997 (On the resemblance and containment of documents), Lee et al. 2021 (2107.06499).
"""

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

import numpy as np

from minillm.material.corpus import Documents
from minillm.plumbing.terminal import Progress, first_process

N_HASHES, N_BANDS = 64, 16  # 16 bands of 4: two documents meet if one band is equal, likely from 0.5 up
WIDTH = N_HASHES // N_BANDS
FULL = 8  # documents in a bucket
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


def deduplicate(documents: Iterable[str], threshold: float = 0.8) -> tuple[list[str], int]:
    """Keep the first of documents that are equal or whose n-grams overlap by `threshold` or more.

    Returns the kept documents in order and the number removed. Only documents that share a band of their
    MinHash are compared, and of those only as many as `Buckets` gives, so the work grows with the
    documents and not with their pairs. The price: where very many documents are alike without being
    near duplicates, a near duplicate just above the threshold may be missed.
    """
    kept: list[str] = []
    grams_of: list[set[str]] = []
    signatures: list[np.ndarray] = []
    seen: set[str] = set()
    buckets = Buckets()
    total = 0
    for document in Progress(documents, desc="near duplicates", delay=3, leave=False, disable=not first_process()):
        total += 1
        exact = " ".join(document.split())
        if exact in seen:
            continue
        seen.add(exact)
        grams = ngrams(document)
        signature = minhash(grams)
        alike = buckets.neighbours(signature)
        if alike:
            # the share of equal minima is within 0.25 of the similarity (four standard deviations), and quick to get
            shares = (np.stack([signatures[k] for k in alike]) == signature).mean(axis=1)  # (n, 64) -> (n,)
            alike = [k for k, share in zip(alike, shares, strict=True) if share >= threshold - 0.25]
        if any(jaccard(grams, grams_of[k]) >= threshold for k in alike):
            continue
        buckets.add(signature, len(kept))
        kept.append(document)
        grams_of.append(grams)
        signatures.append(signature)
    return kept, total - len(kept)


class Buckets:
    """Documents by the bands of their MinHash. A band that FULL documents share is made longer for those that
    follow, four minima at a time: where all documents are alike, the longer band tells the nearest apart."""

    def __init__(self) -> None:
        self.documents: defaultdict[tuple[int, bytes], list[int]] = defaultdict(list)

    def _chain(self, signature: np.ndarray, band: int) -> Iterator[list[int]]:
        """The buckets of a band, from the shortest to the first that is not full."""
        raw, width = np.roll(signature, -band * WIDTH).tobytes(), WIDTH * signature.itemsize
        for end in range(width, len(raw) + 1, width):
            bucket = self.documents[band, raw[:end]]
            yield bucket
            if len(bucket) < FULL:
                return

    def neighbours(self, signature: np.ndarray) -> list[int]:
        """Documents that share a band."""
        return sorted({k for band in range(N_BANDS) for bucket in self._chain(signature, band) for k in bucket})

    def add(self, signature: np.ndarray, document: int) -> None:
        """Put a document into one bucket per band."""
        for band in range(N_BANDS):
            *_, last = self._chain(signature, band)
            last.append(document)


def tidy(documents: Documents, cleaned: bool, unique: bool) -> tuple[Documents, dict[str, float]]:
    """The documents, cleaned and without duplicates if that is asked for, and how many were removed."""
    if cleaned:
        documents = [text for text in map(clean, documents) if text]
    if not unique:
        return documents, {}
    documents, removed = deduplicate(list(documents))
    return documents, {"duplicates_removed": removed}
