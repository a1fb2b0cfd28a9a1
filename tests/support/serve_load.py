"""The server under load, with a real run: `python -m tests.support.serve_load RUN [one|many|crowd|greedy …]`.

one:   one client after the other: milliseconds to the first token, tokens per second, next to the library's own loop
many:  16 clients at once: tokens per second in all, next to one
crowd: 200 clients, 2,000 requests, 20 % of which leave in the middle and 5 % of which are garbage: every answer is
       compared with what `generate` writes alone; the server's memory before and after
greedy: the same questions at temperature 0, not 1

Clients are asyncio streams of this process, the server is a process of its own. A client that is told 429 asks again.
"""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from minillm.assistant import Assistant, load
from minillm.generate import generate
from minillm.sampling import Sampling

TEXTS = ("The capital of Norway is", "台湾最高的山是", "USER: Who are you? AI:", "The currency of", "日本", "Paris")


@dataclass(frozen=True)
class Asked:
    """A request and what the model writes when it is asked alone."""

    body: dict
    text: str
    tokens: int
    seconds: float
    """What the library's own loop took for it."""


def questions(model: Assistant, count: int, most: int, temperature: float = 1.0) -> list[Asked]:
    """Requests with their answers."""
    found = []
    for i in range(count):
        prompt = [model.tokenizer.doc, *model.tokenizer.encode(TEXTS[i % len(TEXTS)])]
        sampling = Sampling(max_new_tokens=most, temperature=temperature, seed=i)
        begin = time.perf_counter()
        ids = generate(model.gpt, [prompt], sampling, model.tokenizer.end, model.tokenizer.pad)[0]
        seconds = time.perf_counter() - begin
        body = {"prompt": prompt, "max_tokens": most, "temperature": temperature, "seed": i}
        found.append(Asked(body, model.tokenizer.decode(ids), len(ids), seconds))
    return found


class Server:
    """`minillm serve` in a process of its own."""

    def __init__(self, run: Path):
        command = [sys.executable, "-m", "minillm", "serve", "--run", str(run), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.port, self.model = int(line.split(":")[2].split("/")[0]), line.split(" shows ")[1].split(",")[0]

    def memory(self) -> float:
        """MiB that the process holds."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def seconds(self) -> float:
        """Processor time that the process has taken: it says more than a clock where others use the machine too."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()


class Client:
    """One connection that is kept open."""

    def __init__(self, server: Server):
        self.server, self.reader, self.writer = server, None, None

    async def send(self, raw: bytes) -> int:
        """Post a body; the status of the reply."""
        if self.writer is None or self.writer.is_closing():
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(raw)}\r\n\r\n"
        self.writer.write(head.encode() + raw)
        await self.writer.drain()
        status = int((await self.reader.readline()).split()[1])
        self.length = None
        while (line := await self.reader.readline()) != b"\r\n":
            name, _, value = line.decode().partition(":")
            if name.lower() == "content-length":
                self.length = int(value)
        return status

    async def parts(self):
        """The body, part by part: whole, or chunk by chunk as it comes."""
        if self.length is not None:
            yield await self.reader.readexactly(self.length)
            return
        while size := int(await self.reader.readline(), 16):
            yield await self.reader.readexactly(size)
            await self.reader.readline()
        await self.reader.readline()

    async def ask(self, asked: Asked, stream: bool = False) -> tuple[str, float]:
        """The text of the answer, and the seconds until its first part."""
        body = json.dumps(asked.body | {"model": self.server.model, "stream": stream}).encode()
        begin, first, text = time.perf_counter(), 0.0, ""
        while (status := await self.send(body)) == 429:
            async for _ in self.parts():
                pass
            await asyncio.sleep(random.uniform(0.05, 0.3))
            begin = time.perf_counter()
        assert status == 200, status
        async for part in self.parts():
            first = first or time.perf_counter() - begin
            for event in part.decode().split("\n\n") if stream else [f"data: {part.decode()}"]:
                if event.startswith("data: {"):
                    text += json.loads(event[6:])["choices"][0]["text"]
        return text, first

    def leave(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


async def one(server: Server, asked: list[Asked]) -> tuple[float, float]:
    """Tokens per second of one client, which asks one question after the other: by the clock, by processor time."""
    client = Client(server)
    await client.ask(asked[0])
    begin, used = time.perf_counter(), server.seconds()
    for question in asked:
        await client.ask(question)
    tokens, seconds, used = sum(q.tokens for q in asked), time.perf_counter() - begin, server.seconds() - used
    library = sum(q.seconds for q in asked)
    firsts = [1000 * (await client.ask(question, stream=True))[1] for question in asked]
    client.leave()
    print(f"first token: {statistics.median(firsts):.1f} ms (median of {len(firsts)}, most {max(firsts):.1f})")
    print(f"one client: {tokens / seconds:.0f} tokens/s; the library's loop: {tokens / library:.0f}; "
          f"ratio {library / seconds:.2f}; per second of the server's processor time {tokens / used:.0f}")  # fmt: skip
    return tokens / seconds, tokens / used


async def many(server: Server, asked: list[Asked], alone: tuple[float, float], clients: int = 16) -> None:
    """Tokens per second of several clients at once."""

    async def client(own: list[Asked]) -> None:
        connection = Client(server)
        for question in own:
            await connection.ask(question)
        connection.leave()

    begin, used = time.perf_counter(), server.seconds()
    await asyncio.gather(*(client(asked[i::clients]) for i in range(clients)))
    tokens, seconds, used = sum(q.tokens for q in asked), time.perf_counter() - begin, server.seconds() - used
    print(f"{clients} clients: {tokens / seconds:.0f} tokens/s, {tokens / seconds / alone[0]:.1f} x one client; "
          f"per second of the server's processor time {tokens / used:.0f}, {tokens / used / alone[1]:.1f} x")  # fmt: skip


async def crowd(server: Server, asked: list[Asked], clients: int = 200, requests: int = 2000) -> None:
    """Many clients, some of which leave and some of which send garbage; what became of each request."""
    what, memory = Counter[str](), []
    kinds = ["leave"] * (requests // 5) + ["garbage"] * (requests // 20)
    kinds += ["whole", "stream"] * ((requests - len(kinds)) // 2)
    random.Random(1).shuffle(kinds)
    waiting = list(enumerate(kinds))

    async def client(seed: int) -> None:
        rng, connection = random.Random(seed), Client(server)
        while waiting:
            i, kind = waiting.pop()
            question = asked[i % len(asked)]
            try:
                if kind == "garbage":
                    raw = rng.choice([b"{", b"\xff" * 99, b"[]", b'{"model": 3}', b"null", rng.randbytes(2000)])
                    status = await connection.send(raw)
                    async for _ in connection.parts():
                        pass
                    what["garbage, refused" if status in (400, 404) else f"garbage, {status}: wrong"] += 1
                elif kind == "leave":
                    body = json.dumps(question.body | {"model": server.model, "stream": rng.random() < 0.7})
                    reply = asyncio.ensure_future(connection.send(body.encode()))
                    await asyncio.wait({reply}, timeout=rng.uniform(0, 0.3))
                    reply.cancel()
                    connection.leave()
                    what["left"] += 1
                else:
                    text, _ = await connection.ask(question, stream=kind == "stream")
                    what["right" if text == question.text else "wrong"] += 1
            except (OSError, EOFError, AssertionError, ValueError, IndexError) as error:
                what[f"lost: {error!r}"[:60]] += 1
                connection.leave()
            if len(waiting) == requests * 9 // 10:
                memory.append(server.memory())

    begin = time.perf_counter()
    await asyncio.gather(*map(client, range(clients)))
    await asyncio.sleep(1)
    print(f"{clients} clients, {requests} requests in {time.perf_counter() - begin:.0f} s: {dict(what)}")
    print(f"memory of the server: {memory[0]:.0f} MiB after a tenth, {server.memory():.0f} MiB in the end")
    print("still right afterwards:", (await Client(server).ask(asked[0]))[0] == asked[0].text)


def main(run: Path, parts: list[str]) -> None:
    model = load(run)
    questions(model, 3, 16)  # warm
    asked = questions(model, 256, 64, temperature=0.0 if "greedy" in parts else 1.0)
    with Server(run) as server:
        alone = asyncio.run(one(server, asked[:48])) if {"one", "many"} & {*parts} else (0.0, 0.0)
        if "many" in parts:
            asyncio.run(many(server, asked, alone))
        if "crowd" in parts:
            asyncio.run(crowd(server, asked))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or ["one", "many", "crowd"])
