"""The server: rows that do not notice one another, OpenAI's form for OpenAI's own client, and what is refused."""

import asyncio
import copy
import json
import random
import re
import socket
import threading
import time
from dataclasses import replace

import pytest
import torch

from minillm import lora
from minillm.__main__ import main
from minillm.assistant import Assistant
from minillm.chat import Message, encode_dialogue
from minillm.commands.serve import model_names, text_of
from minillm.generate import generate
from minillm.gpt_config import GPTConfig
from minillm.gpt_families import gpt2_config, llama_config
from minillm.measure import inside
from minillm.plumbing import noise
from minillm.plumbing.files import InputError
from minillm.run_folder import Run
from minillm.sampling import Sampling, probabilities
from minillm.serve import batch as serve_batch
from minillm.serve.answers import Writer, overlap
from minillm.serve.batch import Batch, Candidate, Drawn, Full, Loop, Row
from minillm.serve.requests import NO_EFFECT, NOT_BUILT, OF_CHAT, OF_TEXT, READ, Refused, read_body, read_job
from minillm.stage1_pretrain import PretrainConfig, pretrain
from tests.support.sample import sample

MODELS = {
    "rotary": GPTConfig(n_vocab=23, n_ctx=24, n_layer=2, n_head=2, n_embd=16),
    "gpt2": gpt2_config(23, n_ctx=24, n_layer=1, n_head=2, n_embd=16),
    "llama": llama_config(23, n_ctx=24, n_layer=2, n_head=4, n_kv_head=2, n_embd=16, n_hidden=24),
}
END = 5


def some_rows(rng: random.Random, count: int) -> list[Row]:
    """Rows of all lengths and settings; each keeps what it is told in `told`."""
    rows = []
    for _ in range(count):
        n = rng.randint(1, 20)
        sampling = Sampling(
            max_new_tokens=rng.randint(1, 24 - n),
            temperature=rng.choice([0, 0.7, 1.5]),
            top_k=rng.choice([None, 1, 5]),
            top_p=rng.choice([None, 0.6]),
            repetition_penalty=rng.choice([1.0, 1.3]),
            seed=rng.randrange(2**40),
        )
        told: list[Drawn] = []
        row = Row([rng.randrange(23) for _ in range(n)], sampling, told.append, rng.choice([None, 3]))
        row.told = told
        rows.append(row)
    return rows


def alone(gpt, row: Row) -> list[int]:
    return generate(gpt, [row.prompt], row.sampling, END, 0)[0]


# --------------------------------------------------------------------------------------------- the batched loop


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", MODELS)
def test_rows_that_come_and_go_write_what_they_write_alone(make_gpt, name, seed, monkeypatch):
    rng = random.Random(f"{name} {seed}")
    monkeypatch.setattr(serve_batch, "SHORT", rng.choice([1, 3, 99]))  # prompts are read at once, or token by token
    monkeypatch.setattr(serve_batch, "TOGETHER", rng.choice([1, 30, 1000]))
    gpt = make_gpt(MODELS[name], seed=3)
    if seed == 2:  # an adapter: not in NumPy
        lora.inject(gpt, lora.LoRAConfig(rank=2))
    batch, rows = Batch(gpt, END), some_rows(rng, 30)
    assert bool(batch.most) == (seed < 2)
    gone = set(rng.sample(range(30), 6))
    to_come = list(enumerate(rows))
    while to_come or batch.rows:
        joined = [to_come.pop(0) for _ in range(min(len(to_come), rng.randint(0, 4)))]
        batch.advance([row for _, row in joined])
        for i in gone:
            rows[i].cancelled = rows[i].cancelled or len(rows[i].new) >= 2
    for row in rows:
        expected = alone(gpt, row)
        assert row.new == expected or (row.cancelled and row.new == expected[: len(row.new)])
        assert [drawn.token for drawn in row.told] == row.new
        if not row.cancelled:
            assert row.told[-1].finish == ("stop" if expected[-1] == END else "length")
        assert all(drawn.finish is None for drawn in row.told[:-1])


def test_candidates_are_the_models_own_and_what_was_drawn_from(make_gpt):
    gpt, told = make_gpt(MODELS["rotary"], seed=4), []
    sampling = Sampling(max_new_tokens=5, temperature=0.8, top_k=4, seed=9)
    row = Row([1, 2, 3], sampling, told.append, top=6)
    batch = Batch(gpt, END)
    batch.advance([row, *some_rows(random.Random(0), 3)])
    while batch.rows:
        batch.advance([])
    for i, drawn in enumerate(told):
        logits = gpt(torch.tensor([[*row.prompt, *row.new[:i]]]))[:, -1]  # (1, T) -> (1, V)
        own, filtered = logits.log_softmax(-1)[0], probabilities(logits, sampling)[0]
        assert [c.id for c in drawn.top] == own.topk(6).indices.tolist()
        for c in (drawn.chosen, *drawn.top):
            assert c.logprob == pytest.approx(own[c.id].item(), abs=1e-4)
            assert c.drawn == pytest.approx(filtered[c.id].item(), abs=1e-4)
        assert drawn.chosen.id == drawn.token


def test_seats_grow_with_the_text_and_go_with_the_last_row(make_gpt):
    gpt = make_gpt(GPTConfig(n_vocab=23, n_ctx=200, n_layer=2, n_head=2, n_embd=16), seed=6)
    batch, rows, to_come = Batch(gpt, -1), some_rows(random.Random(8), 9), [2, 0, 3, 1, 0, 0, 3]
    for row in rows:
        row.sampling = replace(row.sampling, max_new_tokens=random.Random(row.sampling.seed).randint(1, 150))
    waiting, longest = list(rows), 0
    while waiting or batch.rows:
        count = to_come.pop(0) if to_come else 0
        batch.advance([waiting.pop() for _ in range(count)])
        longest = max([longest, *(len(row.prompt) + len(row.new) for row in batch.rows)])
        assert batch.cache.keys.shape[1] <= 9 and (batch.cache.room <= 64 or batch.cache.room <= 2 * longest)
    assert batch.cache.keys.numel() == 0
    assert [row.new for row in rows] == [generate(gpt, [row.prompt], row.sampling, -1, 0)[0] for row in rows]


def test_a_loop_serves_many_threads_bounds_its_queue_and_survives_a_fault(make_gpt):
    gpt = make_gpt(MODELS["rotary"], seed=5)
    loop, rows = Loop(gpt, END, rows=4, waiting=40), some_rows(random.Random(1), 40)
    threads = [threading.Thread(target=loop.submit, args=([row],)) for row in rows]
    for thread in threads:
        thread.start()
    wait_until(lambda: all(row.done for row in rows))
    assert [row.new for row in rows] == [alone(gpt, row) for row in rows]
    with pytest.raises(Full):
        loop.submit(some_rows(random.Random(2), 41))
    broken, fine = some_rows(random.Random(3), 2)
    broken.prompt = [99]  # no such id
    loop.submit([broken])
    wait_until(lambda: broken.told)
    assert [drawn.finish for drawn in broken.told] == ["error"]
    loop.submit([fine])
    wait_until(lambda: fine.done)
    assert fine.new == alone(gpt, fine)
    loop.close()
    assert not loop.thread.is_alive()


def wait_until(holds, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.01)


# --------------------------------------------------------------------------------------------- the text


def test_text_ends_before_the_first_stop_however_it_is_cut_into_tokens(tokenizer):
    rng = random.Random(7)
    for _ in range(200):
        text = "".join(rng.choices("ab 早🙂\n", k=rng.randint(1, 14)))
        stops = ["".join(rng.choices("ab 早🙂\n", k=rng.randint(1, 3))) for _ in range(rng.randint(0, 3))]
        writer, written, ids = Writer(tokenizer, stops, chat=False), "", [*tokenizer.encode(text), tokenizer.end]
        for i in ids:
            written += writer.push(Drawn(i, "stop" if i == tokenizer.end else None))
            if writer.stopped:
                break
        assert writer.stopped == any(stop in text for stop in stops)
        if writer.stopped:
            assert any(text.startswith(written + stop) for stop in stops)
        else:
            assert written == text
        assert not any(stop in written for stop in stops)


def test_tokens_that_come_together_give_the_text_that_they_give_one_by_one(tokenizer):
    rng = random.Random(8)
    for chat in (False, True) * 50:
        ids = [*tokenizer.encode("".join(rng.choices("ab 早🙂\n", k=rng.randint(1, 14)))), tokenizer.end]
        drawn = [Drawn(i, "stop" if i == tokenizer.end else None, Candidate(i, -1.0, 0.5)) for i in ids]
        one, other = Writer(tokenizer, [], chat), Writer(tokenizer, [], chat)
        text = "".join(one.push(token) for token in drawn)
        cut = rng.randrange(len(drawn))
        assert "".join(other.push(*part) for part in (drawn[:cut], drawn[cut:]) if part) == text
        assert (one.text, one.tokens, one.told, one.finish) == (other.text, other.tokens, other.told, other.finish)


@pytest.mark.parametrize("fast", [True, False])
def test_noise_is_what_each_generator_would_draw_alone(fast, monkeypatch):
    if not fast:
        monkeypatch.setattr(noise, "of_uniform", lambda device: False)
    for size in (1, 2, 17, 4001):
        own, same = ([torch.Generator().manual_seed(i) for i in range(5)] for _ in range(2))
        for _ in range(3):
            expected = [torch.empty(size).exponential_(generator=generator) for generator in same]
            assert torch.equal(noise.exponential(own, size), torch.stack(expected))


def test_an_answer_in_a_chat_has_no_white_space_around_it(tokenizer):
    writer = Writer(tokenizer, [], chat=True)
    pieces = [writer.push(Drawn(i, None)) for i in tokenizer.encode(" \n How are \n you? \n ")]
    assert "".join(pieces) == "How are \n you?"
    assert writer.push(Drawn(tokenizer.end, "stop")) == ""
    assert overlap("xa", "ab") == 1 and overlap("ab", "ab") == 0 and overlap("", "ab") == 0


# --------------------------------------------------------------------------------------------- requests


@pytest.fixture(scope="module")
def models(make_gpt, tokenizer) -> dict[str, Assistant]:
    config = GPTConfig(n_vocab=tokenizer.n_vocab, n_ctx=96, n_layer=1, n_head=2, n_embd=16)
    return {name: Assistant(Run(make_gpt(config, seed=i), tokenizer)) for i, name in enumerate(("base", "sft"))}


ASK = {"model": "sft", "messages": [{"role": "user", "content": "How are you?"}]}


@pytest.mark.parametrize("change, status, param", [
    ({"model": "gpt-4"}, 404, "model"), ({"model": None}, 404, "model"), ({"model": ["sft"]}, 404, "model"),
    ({"model": "\ud800"}, 404, "model"), ({"messages": []}, 400, "messages"), ({"messages": "hi"}, 400, "messages"),
    ({"messages": [{"role": "tool", "content": ""}]}, 400, "messages[0].role"),
    ({"messages": [{"role": [], "content": ""}]}, 400, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, 400, "messages[0].content"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "messages[0].content"),
    ({"messages": [{"role": "system", "content": "x"}]}, 400, "messages"),
    ({"messages": ASK["messages"] * 2}, 400, "messages"),
    ({"messages": [{"role": "user", "content": "How " * 200}]}, 400, "messages"),
    ({"temperature": -1}, 400, "temperature"), ({"temperature": float("nan")}, 400, "temperature"),
    ({"temperature": True}, 400, "temperature"), ({"temperature": "1"}, 400, "temperature"),
    ({"top_p": 1.1}, 400, "top_p"), ({"max_tokens": 0}, 400, "max_tokens"), ({"max_tokens": 1.5}, 400, "max_tokens"),
    ({"n": 17}, 400, "n"), ({"n": 10**50}, 400, "n"), ({"seed": 2**63}, 400, "seed"), ({"stop": [""]}, 400, "stop"),
    ({"stop": ["a"] * 5}, 400, "stop"), ({"stop": 3}, 400, "stop"), ({"stream": 1}, 400, "stream"),
    ({"top_logprobs": 2}, 400, "top_logprobs"), ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs"),
    ({"prefix_ids": 3}, 400, "prefix_ids"), ({"prefix_ids": [-1]}, 400, "prompt"), ({"tools": [{}]}, 400, "tools"),
    ({"response_format": {"type": "json_object"}}, 400, "response_format"), ({"tool_choice": "required"}, 400, "tool_choice"),
    ({"max_tokenz": 3}, 400, "max_tokenz"), ({"min_p": 0.5}, 400, "min_p"), ({"prompt": "x"}, 400, "prompt"),
    ({"\ud800": 1}, 400, "\ud800"), ({"stop": 0}, 400, "stop"), ({"stop": {}}, 400, "stop"), ({"prefix_ids": 0}, 400, "prefix_ids"),
    ({"stream_options": "x"}, 400, "stream_options"), ({"n": "2"}, 400, "n"),
])  # fmt: skip
def test_what_is_wrong_with_a_request_is_told(models, change, status, param):
    with pytest.raises(Refused) as caught:
        read_job(ASK | change, models, chat=True)
    assert (caught.value.status, caught.value.param) == (status, param)
    json.dumps(caught.value.message, ensure_ascii=False).encode()


def test_what_changes_no_answer_is_taken(models):
    read_job(ASK | {"user": "me", "store": True, "tool_choice": "auto", "min_p": None, "parallel_tool_calls": True},
             models, chat=True)  # fmt: skip


ODD = (None, True, False, 0, -1, 1, 3, 10**30, 0.5, 1.0, -0.0, 1e308, float("nan"), float("inf"), "", "x", "1", "\ud800", [],
       [0], [1.5], ["a"], [None], [[]], [[1]], {}, {"type": "text"}, {"include_usage": True}, [{"role": "user"}],
       [{"role": "user", "content": "hi"}], [{"role": "user", "content": [{"type": "text", "text": "hi"}]}])  # fmt: skip


@pytest.mark.parametrize("chat", [True, False])
def test_whatever_a_request_holds_it_is_a_job_or_refused(models, chat):
    """Random values under the names that are read, and others: a job within its bounds, or a status below 500."""
    rng = random.Random(chat)
    keys = [*READ - {"model"}, *OF_CHAT, *OF_TEXT, *NO_EFFECT, *NOT_BUILT, "max_tokenz", "min_p"]
    outcomes = set()
    for _ in range(sample(2000, 50_000)):
        body = (ASK if chat else {"model": "sft", "prompt": "hi"}) | {
            rng.choice(keys): rng.choice(ODD) for _ in range(2)
        }
        try:
            job = read_job(body, models, chat)
        except Refused as refused:
            outcomes.add(refused.status)
            assert 400 <= refused.status < 500 and "\n" not in refused.message
            continue
        outcomes.add(200)
        room = models["sft"].gpt.config.n_ctx
        for prompt in job.prompts:
            assert prompt and all(len(prompt) + one.max_new_tokens <= room for one in job.samplings)
        assert 1 <= len(job.samplings) <= 16 and all(job.stops) and len(job.stops) <= 4
        unread = set(body) - READ - NO_EFFECT - (OF_CHAT if chat else OF_TEXT)
        assert all(body[key] is None or any(body[key] == unused for unused in NOT_BUILT[key]) for key in unread)
    assert outcomes == {200, 400}


@pytest.mark.parametrize("prompt", [None, 3, [], [[]], [-1], [10**6], [1.5], [True], ["a", 1], ["a"] * 17, {}])
def test_a_prompt_is_text_or_ids(models, prompt):
    with pytest.raises(Refused) as caught:
        read_job({"model": "base", "prompt": prompt}, models, chat=False)
    assert caught.value.param == "prompt"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"[" * 10**5, b"1" * 5000, b"null"])
def test_garbage_is_no_request(raw):
    with pytest.raises(Refused) as caught:
        read_body(raw)
    assert caught.value.status == 400


def test_a_request_as_rows(models, tokenizer):
    job = read_job(ASK | {"seed": -1, "n": 3, "stop": "x", "top_p": 0, "temperature": 0.5}, models, chat=True)
    assert job.prompts == [encode_dialogue([Message("user", "How are you?")], tokenizer).ids]
    assert [s.seed for s in job.samplings] == [2**63 - 1, 0, 1]
    assert {s.max_new_tokens for s in job.samplings} == {96 - len(job.prompts[0])}
    assert (job.stops, job.top, job.samplings[0].top_p) == (("x",), None, 1e-6)
    job = read_job({"model": "base", "prompt": ["a", [1, 2]], "logprobs": 0, "max_tokens": 999}, models, chat=False)
    assert job.prompts == [[tokenizer.doc, *tokenizer.encode("a")], [1, 2]] and job.top == 0
    assert job.samplings[0].max_new_tokens == 94


# --------------------------------------------------------------------------------------------- over the wire


@pytest.fixture(scope="module")
def client(models):
    testclient = pytest.importorskip("starlette.testclient")
    from minillm.serve.api import make_app

    with testclient.TestClient(make_app(models), base_url="http://127.0.0.1") as client:
        yield client


def test_only_this_machine_and_its_own_pages_may_ask(client, models):
    assert client.get("/v1/models").json()["data"][0]["id"] == "base"
    for headers in ({"host": "evil.example"}, {"host": "127.0.0.1.evil.example"}, {"host": "[::1"}, {"host": ""}):
        assert client.get("/v1/models", headers=headers).status_code == 403, headers
    for origin in ("http://evil.example", "null", "http://127.0.0.1:3000", "http://127.0.0.1@evil.example", "http://["):
        assert client.get("/v1/models", headers={"origin": origin}).status_code == 403, origin
    for headers in ({"origin": "http://127.0.0.1"}, {"host": "localhost:8000"}, {"host": "[::1]:8000"}):
        assert client.get("/v1/models", headers=headers).status_code == 200, headers


def test_the_page_comes_from_here_and_loads_nothing(client):
    from minillm.serve.api import PAGE

    served = {path: client.get(path) for path in PAGE}
    for path, page in served.items():
        assert page.status_code == 200 and PAGE[path] in page.headers["content-type"], path
        assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
        assert not re.search(r"https?:|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", page.text), path
        for found in re.findall(r"""(?:src|href|from)[= ]"([^"]+)\"""", page.text):
            assert "/" + found.removeprefix("./") in PAGE or found == "data:,", found
        assert max(map(len, page.text.splitlines())) <= 120, path


def test_the_pages_words_are_there_in_both_languages(client):
    words = [re.findall(r"""[{,\n]\s+(\w+): \"""", part) for part in client.get("/words.js").text.split("\n  zh: {")]
    assert sorted(words[0]) == sorted(words[1]) and len({*words[0]}) == len(words[0]) > 40
    rest = "".join(client.get(path).text for path in ("/", "/page.js", "/kit.js", "/chat.js", "/views.js"))
    asked = re.findall(r"""(?:say\(|data-word=|on \? |: )"(\w+)"(?=[,)> ])""", rest)
    assert {*re.findall(r"""(?:say\(|data-word=)"(\w+)"(?=[,)> ])""", rest)} - {"hint_", "view_"} <= {*words[0]}
    assert len(asked) > 20


def test_an_answer_goes_on_from_ids_it_begins_with(models, tokenizer):
    begun = tokenizer.encode(" How")
    job = read_job(ASK | {"prefix_ids": begun}, models, chat=True)
    assert job.prompts == [[*encode_dialogue([Message("user", "How are you?")], tokenizer).ids, *begun]]


def test_errors_have_openais_form(client):
    for done, status in (
        (client.post("/v1/chat/completions", json=ASK | {"n": 0}), 400),
        (client.post("/v1/chat/completions", content=b"x" * (2**20 + 1)), 413),
        (client.get("/v1/models/none"), 404),
        (client.get("/etc/passwd"), 404),
        (client.get("/v1/completions"), 405),
    ):
        assert done.status_code == status
        assert set(done.json()["error"]) == {"message", "type", "param", "code"}


def test_a_key_is_asked_for(models):
    testclient = pytest.importorskip("starlette.testclient")
    from minillm.serve.api import make_app

    with testclient.TestClient(make_app(models, key="geheim 密", local=False)) as client:
        assert client.get("/v1/models").status_code == 401
        assert client.get("/v1/models", headers={"authorization": "Bearer geheim"}).status_code == 401
        right = {"authorization": "Bearer geheim 密".encode()}
        assert client.get("/v1/models", headers=right).status_code == 200


def test_a_full_queue_answers_429(models):
    testclient = pytest.importorskip("starlette.testclient")
    from minillm.serve.api import make_app

    with testclient.TestClient(make_app(models, rows=1, waiting=1), base_url="http://127.0.0.1") as client:
        done = client.post("/v1/chat/completions", json=ASK | {"n": 2})
        assert (done.status_code, done.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert done.headers["retry-after"] == "1"


def test_openais_own_client_works_unchanged(client, models, tokenizer):
    openai = pytest.importorskip("openai")
    ask = openai.OpenAI(base_url="http://127.0.0.1/v1", api_key="none", http_client=client, max_retries=0)
    assert [m.id for m in ask.models.list()] == ["base", "sft"]
    assert ask.models.retrieve("sft").id == "sft"
    wanted = dict(**ASK, seed=4, max_tokens=9, logprobs=True, top_logprobs=3, n=2)
    whole = ask.chat.completions.create(**wanted)
    prompt = encode_dialogue([Message("user", "How are you?")], tokenizer).ids
    assert [choice.index for choice in whole.choices] == [0, 1]
    for i, choice in enumerate(whole.choices):
        sampling = Sampling(max_new_tokens=9, temperature=1, seed=4 + i)
        ids = generate(models["sft"].gpt, [prompt], sampling, tokenizer.end, tokenizer.pad)[0]
        assert choice.message.content == tokenizer.decode(ids).strip()
        assert choice.finish_reason == ("stop" if ids[-1] == tokenizer.end else "length")
        shown = [i for i in ids if i != tokenizer.end]
        assert [t.id for t in choice.logprobs.content] == shown
        assert all(len(t.top_logprobs) == 3 for t in choice.logprobs.content)
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    chunks = list(ask.chat.completions.create(**wanted, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage == whole.usage and chunks[-1].choices == []
    for choice in whole.choices:
        parts = [c for chunk in chunks for c in chunk.choices if c.index == choice.index]
        assert "".join(c.delta.content or "" for c in parts) == choice.message.content
        assert parts[0].delta.role == "assistant" and parts[-1].finish_reason == choice.finish_reason
        told = [t for c in parts if c.logprobs for t in c.logprobs.content]
        assert [t.id for t in told] == [t.id for t in choice.logprobs.content]
    text = ask.completions.create(model="base", prompt="How are", temperature=0, max_tokens=6, logprobs=2)
    assert text.choices[0].text == models["base"].complete("How are", 6)[len("How are") :]
    assert len(text.choices[0].logprobs.tokens) == len(text.choices[0].logprobs.top_logprobs)
    with pytest.raises(openai.BadRequestError) as caught:
        ask.chat.completions.create(**ASK, temperature=3)
    assert caught.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        ask.chat.completions.create(**ASK | {"model": "other"})


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_stops_its_rows(models, stream):
    pytest.importorskip("starlette")
    from minillm.serve import api

    submitted: list[Row] = []

    class Waiting(Loop):  # its rows never get a token
        def submit(self, rows):
            submitted.extend(rows)

    async def talk(app) -> None:
        body = json.dumps(ASK | {"stream": stream}).encode()
        incoming = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            if incoming:
                return incoming.pop()
            while not submitted:
                await asyncio.sleep(0)
            return {"type": "http.disconnect"}

        async def send(_):
            pass

        scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
                 "method": "POST", "scheme": "http", "path": "/v1/chat/completions", "raw_path": b"", "root_path": "",
                 "query_string": b"", "headers": [(b"host", b"localhost")], "server": ("127.0.0.1", 80)}  # fmt: skip
        await asyncio.wait_for(app(scope, receive, send), 20)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(api, "Loop", Waiting)
        asyncio.run(talk(api.make_app(models)))
    assert submitted and all(row.cancelled for row in submitted)


# --------------------------------------------------------------------------------------------- the views

DOCUMENTS = ["Paris is the capital of France.", "x" * 500 + "Paris" + "y" * 500, "Tokyo"] + ["巴黎 Paris"] * 30


@pytest.fixture(scope="module")
def shown(models):
    """A client of a server whose third model has an adapter that does something."""
    testclient = pytest.importorskip("starlette.testclient")
    from minillm.serve.api import make_app

    tuned = Assistant(Run(copy.deepcopy(models["sft"].gpt), models["sft"].tokenizer))
    lora.inject(tuned.gpt, lora.LoRAConfig(rank=2))
    for adapter in lora.adapters(tuned.gpt).values():
        torch.nn.init.ones_(adapter.B)
    app = make_app(models | {"tuned": tuned}, documents=DOCUMENTS)
    with testclient.TestClient(app, base_url="http://127.0.0.1") as client:
        yield client


def test_a_model_with_an_adapter_is_there_without_it_too(shown):
    assert [m["id"] for m in shown.get("/v1/models").json()["data"]] == ["base", "sft", "tuned", "tuned (off)"]
    asked = ASK | {"max_tokens": 8, "temperature": 0, "logprobs": True, "top_logprobs": 5}
    said = {name: shown.post("/v1/chat/completions", json=asked | {"model": name}).json()["choices"][0]["logprobs"]
            for name in ("sft", "tuned", "tuned (off)")}  # fmt: skip
    assert said["sft"] == said["tuned (off)"] != said["tuned"]


@pytest.mark.parametrize("view", ["loss", "mask", "attention", "cache", "lens", "lora"])
def test_a_view_tells_the_ids_it_is_about(shown, tokenizer, view):
    from minillm.serve.views import CODE

    asked = {"model": "base", "text": "How are you?\n\n Paris ", "turns": True}
    told = shown.post(f"/view/{view}", json=asked).json()
    expected = encode_dialogue([Message("user", "How are you?"), Message("assistant", "Paris")], tokenizer)
    assert (told["ids"], told["learned"]) == (expected.ids, expected.mask)
    assert told["tokens"][: len(expected.ids)] == [expected.table(tokenizer)[0][0]] + [
        label for _, label, _ in expected.table(tokenizer)
    ]
    raw = shown.post(f"/view/{view}", json=asked | {"turns": False, "text": "[END] <b>"}).json()
    assert raw["ids"] == [tokenizer.doc, *tokenizer.encode("[END] <b>")]
    assert raw["learned"] == [False] + [True] * (len(raw["ids"]) - 1)
    code = shown.get(f"/code/{view}").text.splitlines()
    assert f"def {CODE[view].__name__}(" in code[2] or f"class {CODE[view].__name__}(" in code[2] or "@" in code[2]


def test_what_a_view_computes(shown, models, tokenizer):
    told = shown.post("/view/attention", json={"model": "base", "text": "How are you"}).json()
    exact = inside.attention_weights(models["base"].gpt, told["ids"])
    assert torch.allclose(torch.tensor(told["permille"]) / 1000, exact, atol=6e-4)
    told = shown.post("/view/loss", json={"model": "base", "text": "How are you"}).json()
    assert told["losses"] == inside.losses(models["base"].gpt, told["ids"])[0]
    shares = shown.post("/view/lora", json={"model": "tuned", "text": "x"}).json()["shares"]
    assert len(shares) == 6 and all(share > 0 for share in shares.values())
    assert shown.post("/view/lora", json={"model": "tuned (off)", "text": "x"}).json()["shares"] == {}


def test_what_stage_1_read_about_a_place(shown, client):
    told = shown.post("/view/text", json={"text": " Paris "}).json()
    assert (told["read"], told["found"], len(told["passages"])) == (33, 32, 20)
    assert told["passages"][:3] == [DOCUMENTS[0], "x" * 200 + "Paris" + "y" * 200, "巴黎 Paris"]
    assert client.post("/view/text", json={"text": "Paris"}).json() == {"read": 0, "found": 0, "passages": []}


@pytest.mark.parametrize("view, change, status", [
    ("none", {}, 404), ("chat", {}, 404), ("loss", {"model": "none"}, 404), ("loss", {"text": " \n"}, 400),
    ("loss", {"text": None}, 400), ("loss", {"text": ["a"]}, 400), ("loss", {"turns": "yes"}, 400),
    ("loss", {"text": "How " * 96}, 400), ("cache", {"text": "How " * 96}, 400), ("text", {"text": ""}, 400),
])  # fmt: skip
def test_what_a_view_cannot_show_is_told(shown, view, change, status):
    done = shown.post(f"/view/{view}", json={"model": "base", "text": "How are you?"} | change)
    assert done.status_code == status and set(done.json()["error"]) == {"message", "type", "param", "code"}


def test_any_text_can_be_looked_at(shown):
    for text in ("\x00", "🙂", "\ud800", "</script>", "%", "a\r\nb", "\u2028"):
        for view in ("loss", "lens", "cache", "mask"):
            raw = json.dumps({"model": "base", "text": text, "turns": True})
            assert shown.post(f"/view/{view}", content=raw).status_code in (200, 400), (view, text)


def test_lessons_and_code_are_named_not_found_by_a_path(shown):
    assert "```python\n" in shown.get("/lesson/zh/03_attention").text
    assert shown.get("/lesson/en/03_attention").text != shown.get("/lesson/zh/03_attention").text
    for path in ("/lesson/en/none", "/lesson/en/..%2f..%2fREADME", "/lesson/../03_attention", "/lesson/fr/03_attention",
                 "/code/none", "/code/..%2fapi", "/api.py", "/page.html", "/..%2fpyproject.toml"):  # fmt: skip
        assert shown.get(path).status_code == 404, path


def test_page_lessons_and_code_need_no_key_and_views_do(models):
    testclient = pytest.importorskip("starlette.testclient")
    from minillm.serve.api import PAGE, make_app

    with testclient.TestClient(make_app(models, key="k"), base_url="http://127.0.0.1") as client:
        for path in (*PAGE, "/lesson/en/03_attention", "/code/loss"):
            assert client.get(path).status_code == 200, path
        for path in ("/view/loss", "/view/text", "/v1/chat/completions"):
            assert client.post(path, json={}).status_code == 401, path
        assert client.get("/page.js", headers={"host": "evil.example"}).status_code == 403


# --------------------------------------------------------------------------------------------- the command


def test_the_text_must_be_the_one_that_a_run_read(tmp_path):
    documents = ["One.", "Two, in\ntwo lines."]
    (tmp_path / "text.txt").write_text("\n\n".join(documents))
    (tmp_path / "other.txt").write_text("One.\n\nTwo.")
    shape = dict(n_ctx=16, n_layer=1, n_head=1, n_embd=8, steps=1, batch_size=1, validation=0.0, device="cpu")
    pretrain(PretrainConfig(**shape), documents, out=tmp_path / "base")
    assert list(text_of([tmp_path / "text.txt"], [tmp_path / "base"])) == documents
    with pytest.raises(InputError, match="other"):
        text_of([tmp_path / "other.txt"], [tmp_path / "base"])


def test_names_of_models(tmp_path):
    a, b, c = (tmp_path / name for name in ("x/sft", "y/sft", "base"))
    assert model_names([a, b, c]) == {a.as_posix(): a, b.as_posix(): b, "base": c}
    for wrong in ([], [a, a]):
        with pytest.raises(InputError):
            model_names(wrong)


def test_faults_of_the_command_are_one_line(tmp_path, capsys):
    pytest.importorskip("uvicorn")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for words, said in (
            (["--run", str(tmp_path), "--host", "0.0.0.0"], "--api-key"),
            (["--run", str(tmp_path), "--port", port], "choose another --port"),
            (["--run", str(tmp_path), "--port", "70000"], "choose another --port"),
            (["--run", str(tmp_path / "none"), "--port", "0"], "none"),
            (["--run", "a", "--run", "a"], "given twice"),
            (["--run", "a", "--run", "b/../a"], "given twice"),
        ):
            assert main(["serve", *words]) == 2
            error = capsys.readouterr().err
            assert said in error and error.count("\n") == 1
