"""Batches: every token once, every target in its place, packed dialogues as if each were alone."""

import random

import numpy as np
import pytest
import torch

from minillm.batching import Batch, TextRows, shuffled
from minillm.chat import Dialogue, encode_dialogue, turn
from minillm.gpt import token_losses
from minillm.gpt_families import gpt2_config, llama_config
from minillm.material.corpus import token_stream
from minillm.packing import pack, packed_batch, padded_batch

V, PAD, DOC, END = 23, 22, 21, 20
MODELS = {
    "rotary": dict(n_ctx=30),
    "learned": dict(n_ctx=30, position="learned"),
    "gpt2": dict(config=gpt2_config(V, n_ctx=30, n_layer=2, n_head=2, n_embd=16)),
    "llama": dict(config=llama_config(V, n_ctx=30, n_layer=2, n_head=4, n_kv_head=2, n_embd=16, n_hidden=24)),
}
each_model = pytest.mark.parametrize("name", MODELS)


def random_dialogues(n: int, seed: int = 0, longest: int = 20) -> list[Dialogue]:
    rng = random.Random(seed)
    result = []
    for _ in range(n):
        body = [rng.randrange(DOC) for _ in range(rng.randint(0, longest - 2))]
        mask = [False] + [rng.random() < 0.5 for _ in body] + [True]
        result.append(Dialogue([DOC, *body, END], mask))
    return result


def total_loss(gpt, batch: Batch) -> float:
    losses = token_losses(gpt(batch.ids, batch.mask, batch.positions), batch.targets)
    return (losses * batch.weights).sum().item()


def loss_alone(gpt, dialogue: Dialogue) -> float:
    """-log p of each learned token after the tokens before it, added up."""
    logp = gpt(torch.tensor([dialogue.ids]))[0].log_softmax(-1)
    return -sum(logp[t - 1, i].item() for t, i in enumerate(dialogue.ids) if dialogue.mask[t])


def equal(a: Batch, b: Batch) -> bool:
    pairs = zip(vars(a).values(), vars(b).values(), strict=True)
    return all(x is y if x is None or y is None else torch.equal(x, y) for x, y in pairs)


# --------------------------------------------------------------------------------------------- order


@pytest.mark.parametrize("n", [1, 2, 7, 10])
@pytest.mark.parametrize("size", [1, 3, 7, 25])
def test_a_shuffled_walk_covers_each_epoch_exactly_once(n, size):
    steps = -(-5 * n // size)
    walk = [i for step in range(steps) for i in shuffled(n, size, step, seed=3)]
    assert len(walk) == steps * size
    for epoch in range(5):
        assert sorted(walk[epoch * n : (epoch + 1) * n]) == list(range(n))


def test_each_epoch_and_each_seed_has_its_own_order():
    orders = [tuple(shuffled(20, 20, epoch, seed)) for epoch in range(4) for seed in range(4)]
    assert len(set(orders)) == 16
    assert tuple(range(20)) not in orders


def test_a_step_depends_on_nothing_but_its_arguments():
    later = shuffled(9, 4, 100, 1)
    for step in (3, 0, 7):
        shuffled(9, 4, step, 1)
    np.random.seed(0)
    assert shuffled(9, 4, 100, 1) == later


def test_larger_steps_walk_the_same_way():
    assert [i for step in range(15) for i in shuffled(7, 2, step, 5)] == shuffled(7, 30, 0, 5)


# ------------------------------------------------------------------------------------------ raw text


def test_documents_are_framed_and_control_tokens_in_them_are_letters(tokenizer):
    documents = ["台湾 is.", "", "[END] 🙂"]
    expected = [[tokenizer.doc, *tokenizer.encode(text), tokenizer.end] for text in documents]
    assert token_stream(documents, tokenizer).tolist() == [i for ids in expected for i in ids]
    assert len(token_stream([], tokenizer)) == 0


@pytest.mark.parametrize("n_tokens", [2, 3, 8, 9, 10, 16, 17, 18, 50])
@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_rows_are_cut_from_the_stream_and_targets_are_the_tokens_that_follow(n_tokens, batch_size):
    rows = TextRows(np.arange(100, 100 + n_tokens, dtype=np.uint32), n_ctx=8)
    for batch in [rows.batch(step, batch_size) for step in range(20)]:
        assert batch.ids.shape == batch.targets.shape == batch.weights.shape == (batch_size, min(8, n_tokens - 1))
        assert batch.ids.dtype == batch.targets.dtype == torch.int64
        assert torch.equal(batch.ids, batch.ids[:, :1] + torch.arange(rows.width))  # neighbours in the stream
        assert torch.equal(batch.targets, batch.ids + 1)
        assert batch.ids.min() >= 100
        assert batch.targets.max() < 100 + n_tokens
        assert (batch.weights == 1).all()
        assert batch.mask is batch.positions is None


def test_the_rows_of_an_epoch_do_not_overlap_and_the_epochs_reach_every_token():
    rows = TextRows(np.arange(30), n_ctx=8)
    seen_in, seen_out, cuts = set(), set(), set()
    for epoch in range(60):
        batches = [rows.batch(3 * epoch + i, 1) for i in range(3)]  # 3 rows of 8 fit into 29 predictions
        ids = torch.cat([batch.ids for batch in batches]).flatten().tolist()
        assert len(set(ids)) == 24
        seen_in.update(ids)
        seen_out.update(i + 1 for i in ids)
        cuts.add(min(ids))
    assert cuts == {0, 1, 2, 3, 4, 5}
    assert (seen_in, seen_out) == (set(range(29)), set(range(1, 30)))


def test_a_batch_is_a_pure_function_of_data_seed_and_step():
    tokens = np.random.default_rng(0).integers(0, V, 100)
    first = TextRows(tokens, 8, seed=4)
    expected = [first.batch(step, 5) for step in range(6)]
    again = TextRows(tokens.copy(), 8, seed=4)
    assert all(equal(again.batch(step, 5), expected[step]) for step in (5, 0, 3))
    assert not equal(TextRows(tokens, 8, seed=5).batch(0, 5), expected[0])
    assert not equal(expected[0], expected[1])


@pytest.mark.parametrize(("n_tokens", "n_rows"), [(2, 1), (5, 1), (9, 1), (16, 1), (17, 2), (50, 6)])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_in_order_covers_all_rows_once(n_tokens, n_rows, batch_size):
    rows = TextRows(np.arange(n_tokens), n_ctx=8)
    batches = list(rows.in_order(batch_size))
    assert rows.n_rows == n_rows
    assert all(len(batch.ids) <= batch_size for batch in batches)
    assert torch.cat([batch.ids for batch in batches]).flatten().tolist() == list(range(n_rows * rows.width))
    assert all(torch.equal(batch.targets, batch.ids + 1) for batch in batches)


@pytest.mark.parametrize("n_tokens", [0, 1])
def test_a_text_with_nothing_to_predict_is_refused(n_tokens):
    with pytest.raises(ValueError, match="fewer than two"):
        TextRows(np.arange(n_tokens), 8)


# -------------------------------------------------------------------------------------------- packing


def test_the_longest_is_packed_first_into_the_first_row_with_room():
    assert pack([3, 5, 2, 4], 7) == [[1, 2], [3, 0]]
    assert pack([2, 2, 2, 2, 2], 4) == [[0, 1], [2, 3], [4]]
    assert pack([], 4) == []


@pytest.mark.parametrize("seed", range(30))
def test_packing_holds_each_item_once_and_no_row_is_too_wide(seed):
    rng = random.Random(seed)
    width = rng.randint(1, 30)
    lengths = [rng.randint(1, width) for _ in range(rng.randint(0, 40))]
    rows = pack(lengths, width)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    used = [sum(lengths[i] for i in row) for row in rows]
    assert all(0 < n <= width for n in used)
    assert all(a + b > width for a, b in zip(used, used[1:]))  # else the two rows would be one


def test_an_item_wider_than_a_row_is_refused():
    with pytest.raises(ValueError, match="8 tokens does not fit into 7"):
        pack([2, 8], 7)


def test_packing_equals_a_plain_search_for_the_first_row_with_room():
    rng = random.Random(3)
    for _ in range(300):
        width = rng.randint(1, 40)
        lengths = [rng.randint(1, width) for _ in range(rng.randint(0, 70))]
        rows: list[list[int]] = []
        room: list[int] = []
        for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            row = next((r for r, free in enumerate(room) if free >= lengths[i]), len(rows))
            if row == len(rows):
                rows.append([])
                room.append(width)
            rows[row].append(i)
            room[row] -= lengths[i]
        assert pack(lengths, width) == rows


def test_a_packed_batch_by_hand():
    first = Dialogue([DOC, 1, 2, 3, END], [False, False, False, True, True])
    second = Dialogue([DOC, 4, END], [False, False, True])
    third = Dialogue([DOC, 7, 8, END], [False, True, False, True])
    batch = packed_batch([second, first, third], n_ctx=6, pad=PAD)
    assert batch.ids.tolist() == [[DOC, 1, 2, 3, DOC, 4], [DOC, 7, 8, PAD, PAD, PAD]]
    assert batch.targets[0].tolist() == [1, 2, 3, END, 4, END]
    assert batch.targets[1, :3].tolist() == [7, 8, END]
    assert batch.weights.tolist() == [[0, 0, 1, 1, 0, 1], [1, 0, 1, 0, 0, 0]]
    assert batch.positions[0].tolist() == [0, 1, 2, 3, 0, 1]
    assert batch.positions[1, :3].tolist() == [0, 1, 2]
    assert batch.mask.shape == (2, 1, 6, 6)
    assert batch.mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 1],
    ]
    assert batch.mask[1, 0, :3].int().tolist() == [[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [1, 1, 1, 0, 0, 0]]


def test_a_padded_batch_keeps_the_order_one_dialogue_a_row(tokenizer):
    turns = [turn("你好吗", "好"), turn("What?", "Paris is."), turn("a", "玉山")]
    dialogues = [encode_dialogue(messages, tokenizer) for messages in turns]
    batch = padded_batch(dialogues, tokenizer.pad)
    for row, dialogue in enumerate(dialogues):
        n = len(dialogue.ids) - 1
        assert batch.ids[row, :n].tolist() == dialogue.ids[:-1]
        assert batch.targets[row, :n].tolist() == dialogue.ids[1:]
        assert batch.weights[row].tolist() == dialogue.mask[1:] + [0] * (batch.ids.shape[1] - n)
        assert (batch.ids[row, n:] == tokenizer.pad).all()
        assert batch.weights[row, batch.targets[row] == tokenizer.end].tolist() == [1.0]  # to stop is learned


@each_model
@pytest.mark.parametrize("seed", range(3))
@torch.no_grad()
def test_the_loss_of_a_batch_is_the_sum_over_dialogues_run_alone(make_gpt, name, seed):
    gpt, dialogues = make_gpt(**MODELS[name]), random_dialogues(11, seed)
    alone = sum(loss_alone(gpt, dialogue) for dialogue in dialogues)
    packed = packed_batch(dialogues, 30, PAD)
    assert len(packed.ids) < 11
    assert total_loss(gpt, packed) == pytest.approx(alone, rel=1e-5)
    assert total_loss(gpt, padded_batch(dialogues, PAD)) == pytest.approx(alone, rel=1e-5)


@each_model
@pytest.mark.parametrize("fused", [False, True], ids=["handwritten", "fused"])
@torch.no_grad()
def test_packed_dialogues_do_not_see_one_another(make_gpt, name, fused):
    gpt, dialogues = make_gpt(**MODELS[name]), random_dialogues(4, longest=8)
    before = packed_batch(dialogues, 30, PAD)
    assert len(before.ids) == 1
    logits = gpt(before.ids, before.mask, before.positions, fused=fused)
    for i, d in enumerate(dialogues):
        others = [*dialogues[:i], Dialogue([(token + 1) % V for token in d.ids], d.mask), *dialogues[i + 1 :]]
        after = packed_batch(others, 30, PAD)
        here = (after.ids != before.ids)[0]
        assert here.sum() == len(d.ids) - 1
        changed = gpt(after.ids, after.mask, after.positions, fused=fused)
        assert torch.equal(changed[0, ~here], logits[0, ~here])
        assert (changed[0, here] != logits[0, here]).any(-1).all()


@each_model
@torch.no_grad()
def test_padding_never_counts(make_gpt, name):
    gpt, dialogues = make_gpt(**MODELS[name]), random_dialogues(5, seed=2)
    losses = []
    for pad in (PAD, 0, END):  # even if padding looks like [END]
        for batch in (packed_batch(dialogues, 25, pad), padded_batch(dialogues, pad)):
            assert batch.weights.sum() == sum(sum(d.mask[1:]) for d in dialogues)
            losses.append(total_loss(gpt, batch))
    assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-5)


# ------------------------------------------------------------------------------------------- in micro-batches


@pytest.mark.parametrize("micro_batches", [1, 2, 3, 4, 5, 6, 100])
@pytest.mark.parametrize("kind", ["text", "dialogues"])
def test_micro_batches_hold_all_rows_in_order(kind, micro_batches):
    batch = TextRows(np.arange(50), 8).batch(0, 5) if kind == "text" else padded_batch(random_dialogues(5), PAD)
    parts = list(batch.split(micro_batches))
    assert 1 <= len(parts) <= micro_batches
    for name, whole in vars(batch).items():
        tensors = [getattr(part, name) for part in parts]
        assert all(t is None for t in tensors) if whole is None else torch.equal(torch.cat(tensors), whole)


def test_moving_a_batch_to_a_device_changes_nothing_in_it():
    for batch in (TextRows(np.arange(50), 8).batch(0, 5), packed_batch(random_dialogues(5), 30, PAD)):
        assert equal(batch.to("cpu"), batch)
