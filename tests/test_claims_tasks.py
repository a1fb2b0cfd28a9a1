"""Tasks whose text is given, and the adapters other than LoRA."""

import copy
import random
import re
from collections import Counter
from functools import partial

import pytest
import torch

from minillm.claims import across_languages, passages
from minillm.claims.adapter_kinds import add_bottlenecks, add_prefixes, add_rescaling
from minillm.claims.lab import Lab
from minillm.gpt import GPT, KVCache, causal_mask
from minillm.gpt_config import GPTConfig
from minillm.world.tables import ATTRIBUTES, LANGUAGES
from minillm.world.text import NAMES

LAB = Lab(7)
ADAPTERS = {
    "bottleneck": partial(add_bottlenecks, width=3, seed=0),
    "prefix": partial(add_prefixes, length=5, seed=0),
    "ia3": add_rescaling,
}


def adapted(name: str) -> GPT:
    """A model of grouped heads with an adapter that is no longer what it was at first."""
    model = GPT(GPTConfig(n_vocab=11, n_ctx=16, n_layer=2, n_head=4, n_kv_head=2, n_embd=16), seed=3)
    ADAPTERS[name](model)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(torch.randn(p.shape, generator=generator))
    return model


@pytest.mark.parametrize("name", ["bottleneck", "ia3"])
def test_an_adapter_changes_nothing_at_first(name):
    model = GPT(GPTConfig(n_vocab=11, n_ctx=16, n_layer=2, n_head=4, n_embd=16), seed=3)
    ids = torch.randint(11, (3, 9))
    before = model(ids)
    ADAPTERS[name](model)
    assert torch.allclose(model(ids), before)


@pytest.mark.parametrize("name", ADAPTERS)
def test_an_adapter_alone_is_trained_and_the_cache_gives_the_same(name):
    model, ids = adapted(name), torch.randint(11, (3, 9))
    base = GPT(model.config)
    assert sum(not p.requires_grad for p in model.parameters()) == len(list(base.parameters()))
    whole = model(ids)
    whole.sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    cache = KVCache(model.config, 3)
    parts = [model(ids[:, :4], cache=cache), *(model(ids[:, i : i + 1], cache=cache) for i in range(4, 9))]
    assert torch.allclose(torch.cat(parts, dim=1), whole, atol=1e-4)
    assert torch.allclose(model(ids, mask=causal_mask(9, 9).expand(3, 1, 9, 9)), whole, atol=1e-4)


def test_a_prefix_is_attention_over_more_positions():
    # one head, one layer: the first position sees itself and the prefix, its weights by hand
    model = GPT(GPTConfig(n_vocab=7, n_ctx=8, n_layer=1, n_head=1, n_embd=4), seed=0)
    plain = copy.deepcopy(model)
    add_prefixes(model, length=2, seed=0)
    attn = model.blocks[0].attn
    with torch.no_grad():
        attn.values.normal_(generator=torch.Generator().manual_seed(2))
    x = torch.randn(1, 1, 4)
    seen = {}
    plain.blocks[0].attn.out.register_forward_hook(lambda m, i, o: seen.update(plain=i[0]))
    attn.attn.out.register_forward_hook(lambda m, i, o: seen.update(prefixed=i[0]))
    ids = torch.tensor([[3]])
    plain(ids), model(ids)
    value = seen["plain"]  # alone, a position takes its own value
    inner = attn.attn
    x = plain.blocks[0].norm1(plain.tok_emb(ids))
    q, k = (torch.nn.functional.rms_norm(f(x), (4,), eps=1e-5) for f in (inner.query, inner.key))
    scores = torch.cat((attn.keys[0] @ q[0, 0], (k @ q.transpose(1, 2))[0, 0])) / 2
    mixed = scores.softmax(0) @ torch.cat((attn.values[0], value[0]))
    assert torch.allclose(seen["prefixed"][0, 0], mixed, atol=1e-5)


# ------------------------------------------------------------------------------------- made-up passages


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_made_up_places_keep_their_names_and_share_out_all_values(seed):
    places = list(LAB.held_out)
    made_up = passages.imagined(places, random.Random(seed))
    assert [p.names for p in made_up] == [p.names for p in places]
    for attribute in ATTRIBUTES:
        pairs = [[(p.value(attribute, "en"), p.value(attribute, "zh")) for p in some] for some in (places, made_up)]
        assert Counter(pairs[0]) == Counter(pairs[1])  # both languages moved together
        assert attribute == "continent" or sum(a != b for a, b in zip(*pairs, strict=True)) > len(places) / 2


def test_the_answer_to_a_passage_stands_in_it_and_taught_places_are_not_asked_about():
    task = passages.reading(LAB)
    assert {i.language for i in task.items} == set(LANGUAGES) and len(task.items) == 6 * len(LAB.held_out)
    assert all(i.accepted[0] in i.text for i in task.items)
    assert all(any("\u4e00" <= c <= "\u9fff" for c in i.accepted[0]) for i in passages.reading(LAB, ("zh",)).items)
    assert all(answer.content in question.content for question, answer in task.pairs)
    taught = [p.names[one] for p in LAB.taught for one in LANGUAGES]
    held_out = [p.names[one] for p in LAB.held_out for one in LANGUAGES]
    questions = [i.text for i in task.items]
    assert not [t for t in taught for q in questions if t in q and not any(t in h for h in held_out)]


def test_a_summary_names_what_the_passage_says_in_the_language_it_is_asked_for():
    alone, crossed = (passages.summaries(LAB, LAB.held_out, c) for c in (False, True))
    known = [p.names for p in LAB.world.places]
    known += [{one: p.value(a, one) for one in LANGUAGES} for p in LAB.world.places for a in ATTRIBUTES]
    same = {(k["en"], k["zh"]) for k in known} | {(k["zh"], k["en"]) for k in known}
    for own, other in zip(alone, crossed, strict=True):
        assert own.language != other.language and own.entity == other.entity
        mine, theirs = (re.split("[:：,，] ?", i.accepted[0]) for i in (own, other))
        assert len(mine) == 3 and all(v in own.text and v in other.text for v in mine)  # the same passage
        assert all(pair in same for pair in zip(mine, theirs, strict=True))
    for item in passages.renderings(LAB, LAB.held_out):
        assert item.accepted[0] not in item.text


def test_a_mail_takes_name_and_message_from_the_request():
    for item in passages.mailing(LAB).items:
        names = [n for n in NAMES[item.language] if n in item.text]
        mail = item.accepted[0]
        assert any(n in mail for n in names) and mail.startswith("Dear " if item.language == "en" else tuple(names))
        message = re.fullmatch(r"Dear \w+, (.+) Best wishes|..，你好：(.+)祝好！", mail)
        assert message and (message[1] or message[2]) in item.text


def test_a_writer_of_one_language_writes_no_other_and_says_all_twice():
    documents = list(passages.PassageWriter(LAB.world, 5, ("en",)).documents(400))
    assert not [d for d in documents if re.search("[\u4e00-\u9fff]", d)]
    assert list(passages.PassageWriter(LAB.world, 5).documents(50)) == list(
        passages.PassageWriter(LAB.world, 5).documents(50)
    )
    writer = passages.PassageWriter(LAB.world, 6)
    for language in LANGUAGES * 20:
        place = writer.imagine()
        writer.imagine = lambda place=place: place
        text = writer.said_twice(language)
        told = [v for (_, one), v in place.values.items() if one == language and text.count(v) >= 2]
        assert len(told) >= 2
        both = writer.said_in_both(language)
        assert sum(place.value(a, "en") in both and place.value(a, "zh") in both for a in ATTRIBUTES) >= 2
        del writer.imagine


def test_spans_hold_the_answer():
    choices = across_languages.spans(LAB)
    for item in passages.reading(LAB, ("zh",)).items:
        assert item.accepted[0] in choices[item.text] and len(choices[item.text]) >= 2
