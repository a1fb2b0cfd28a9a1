"""The server: OpenAI's routes over one batched loop per model, for programs on this machine.

A web page of another site cannot use it: a foreign Host (DNS rebinding) or Origin is refused. A client that goes
away stops the computation of its rows.
"""

import asyncio
import hmac
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from minillm.assistant import Assistant
from minillm.serve import views
from minillm.serve.answers import Form, Told, Writer
from minillm.serve.batch import Drawn, Full, Loop, Row
from minillm.serve.requests import Refused, pick_model, read_body, read_job

LARGEST_BODY, SECONDS_FOR_BODY, VIEWS_WAITING = 2**20, 20, 16
PAGE = {  # path -> type of the files that make the page
    "/": "text/html", "/page.css": "text/css",
    **dict.fromkeys(("/page.js", "/kit.js", "/chat.js", "/views.js", "/words.js"), "text/javascript"),
}  # fmt: skip
PAGE_HEADERS = {  # the page asks nobody but this server, and no other site shows it in a frame
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}
KINDS = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error"}
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class Answer:
    """The rows of one request in the loop, and what they have written. Raises Refused if the queue is full."""

    def __init__(self, loop: Loop, form: Form):
        self.form, job = form, form.job
        self.fresh: deque[tuple[int, Drawn]] = deque()
        self.here, self.arrived = asyncio.get_running_loop(), asyncio.Event()
        self.eager = job.stream or bool(job.stops)
        wanted = [(prompt, sampling) for prompt in job.prompts for sampling in job.samplings]
        self.rows = [Row(*one, partial(self.hand_over, i), job.top) for i, one in enumerate(wanted)]
        self.writers = [Writer(form.tokenizer, job.stops, job.chat) for _ in wanted]
        try:
            loop.submit(self.rows)
        except Full:
            raise Refused(429, "too many requests wait: try again in a moment", code="rate_limit_exceeded") from None

    def hand_over(self, index: int, drawn: Drawn) -> None:
        """Take a token from the loop's thread; this one is only woken if it can do something with it."""
        self.fresh.append((index, drawn))
        if self.eager or drawn.finish:
            with suppress(RuntimeError):  # the server has ended
                self.here.call_soon_threadsafe(self.arrived.set)

    async def pieces(self) -> AsyncIterator[tuple[int, str, Told]]:
        """What each token adds to a text, as it comes, until all are done. Raises Refused if the computation fails."""
        running = set(range(len(self.rows)))
        while running:
            if not self.fresh:
                self.arrived.clear()
                await self.arrived.wait()
                continue
            index, drawn = self.fresh.popleft()
            together = [drawn]
            while self.fresh and self.fresh[0][0] == index and not self.form.job.stops:  # a stop may end each of them
                together.append(self.fresh.popleft()[1])
            if index not in running:  # tokens after a stop
                continue
            if together[-1].finish == "error":
                raise Refused(500, "the computation failed: the server's terminal says why", code="server_error")
            writer = self.writers[index]
            known, text = len(writer.told), writer.push(*together)
            if writer.finish:
                running.remove(index)
                self.rows[index].cancelled = True
            yield index, text, writer.told[known:]

    async def events(self) -> AsyncIterator[str]:
        """The chunks of a stream, then `[DONE]`."""
        form, job = self.form, self.form.job
        try:
            for index in range(len(self.rows)) if job.chat else ():
                yield event(form.opening(index))
            async for index, text, told in self.pieces():
                finish = self.writers[index].finish
                if text or finish or told:
                    yield event(form.chunk(index, text, told, finish))
            if job.usage:
                yield event(form.answer([]) | {"usage": form.usage(self.writers)})
        except Refused as refused:
            yield event(fault(refused))
        yield "data: [DONE]\n\n"

    async def whole(self) -> dict[str, Any]:
        """The finished answer."""
        async for _ in self.pieces():
            pass
        return self.form.whole(self.writers)


class Reply(Response):
    """An answer, whole or as server-sent events. If the client leaves, the loop drops the rows."""

    def __init__(self, answer: Answer):
        self.answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        work, leaving = asyncio.ensure_future(self.send(scope, receive, send)), asyncio.ensure_future(gone(receive))
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()  # or what it raised
        finally:
            work.cancel()
            leaving.cancel()
            for row in self.answer.rows:
                row.cancelled = True

    async def send(self, *connection: Any) -> None:
        kind, headers = "text/event-stream", {"Cache-Control": "no-store"}
        if self.answer.form.job.stream:
            await StreamingResponse(self.answer.events(), media_type=kind, headers=headers)(*connection)
        else:
            await JSONResponse(await self.answer.whole())(*connection)


async def gone(receive: Any) -> None:
    """Returns when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def event(value: object) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def fault(refused: Refused) -> dict[str, Any]:
    """An error in OpenAI's form."""
    kind = KINDS.get(refused.status, "invalid_request_error")
    return {"error": {"message": refused.message, "type": kind, "param": refused.param, "code": refused.code}}


async def refuse(_: Request, error: Exception) -> Response:
    """The response to an error."""
    if isinstance(error, HTTPException):
        error = Refused(error.status_code, f"{error.detail}: see /v1/models", code="unknown_url")
    assert isinstance(error, Refused)
    return JSONResponse(fault(error), error.status, {"Retry-After": "1"} if error.status == 429 else {})


async def read(request: Request) -> bytes:
    """The body. Raises Refused if it is too large or too slow."""
    raw = b""
    try:
        async with asyncio.timeout(SECONDS_FOR_BODY):
            async for part in request.stream():
                raw += part
                if len(raw) > LARGEST_BODY:
                    raise Refused(413, f"the body has more than {LARGEST_BODY} bytes")
    except TimeoutError:
        raise Refused(408, f"the body did not come within {SECONDS_FOR_BODY} seconds") from None
    return raw


class Guard:
    """Refuses what comes from other sites or, with a key, without it; before anything is read."""

    def __init__(self, app: Any, key: str | None, local: bool):
        self.app, self.key, self.local = app, key, local

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        refused = self.check(Request(scope)) if scope["type"] == "http" else None
        app = self.app if refused is None else await refuse(Request(scope), refused)
        await app(scope, receive, send)

    def check(self, request: Request) -> Refused | None:
        """Why a request is refused; None if it is not."""
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        try:
            name, site = urlsplit(f"//{host}").hostname, urlsplit(origin or "").netloc
        except ValueError:
            return Refused(403, "Host or Origin is not an address", code="foreign_host")
        if self.local and name not in THIS_MACHINE:
            return Refused(403, f"the Host must be one of {', '.join(THIS_MACHINE)}", code="foreign_host")
        if origin is not None and site != host:
            return Refused(403, "pages of other sites may not ask here", code="foreign_origin")
        if request.url.path in PAGE or request.url.path.startswith(("/lesson/", "/code/")):  # they hold no secret
            return None
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode("latin-1")  # as it came
        if self.key is not None and not hmac.compare_digest(given, self.key.encode("utf-8", "replace")):
            return Refused(401, "the API key is missing or wrong", code="invalid_api_key")
        return None


class Site:
    """What the routes answer: from the models, with a batched loop each, and for the views from one more thread."""

    def __init__(self, models: Mapping[str, Assistant], rows: int, waiting: int, documents: Iterable[str]):
        self.models, self.documents = views.with_twins(models), documents
        self.loops = {name: Loop(m.gpt, m.tokenizer.end, rows, waiting) for name, m in self.models.items()}
        self.desk, self.room = ThreadPoolExecutor(1), asyncio.Semaphore(VIEWS_WAITING)

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        yield
        self.desk.shutdown(cancel_futures=True)
        for loop in self.loops.values():
            loop.close()

    async def create(self, request: Request) -> Response:
        job = read_job(read_body(await read(request)), self.models, chat="/chat/" in request.url.path)
        return Reply(Answer(self.loops[job.model], Form(job, self.models[job.model].tokenizer)))

    async def list_models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [about(name) for name in self.models]})

    async def one_model(self, request: Request) -> Response:
        return JSONResponse(about(pick_model({"model": request.path_params["name"]}, self.models)[0]))

    async def page(self, request: Request) -> Response:
        path = request.url.path
        file = files("minillm.serve").joinpath("page.html" if path == "/" else path[1:])
        return Response(file.read_bytes(), media_type=PAGE[path], headers=PAGE_HEADERS)

    async def look(self, request: Request) -> Response:
        body = read_body(await read(request))
        if self.room.locked():
            raise Refused(429, "too many views wait: try again in a moment", code="rate_limit_exceeded")
        async with self.room:
            work = partial(views.look, request.path_params["view"], body, self.models, self.documents)
            return JSONResponse(await asyncio.get_running_loop().run_in_executor(self.desk, work))

    async def source(self, request: Request) -> Response:
        return PlainTextResponse(views.source(request.path_params["view"]))

    async def lesson(self, request: Request) -> Response:
        return PlainTextResponse(views.lesson(**request.path_params))


def about(name: str) -> dict[str, Any]:
    """A model in OpenAI's form."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "minillm"}


def make_app(
    models: Mapping[str, Assistant], key: str | None = None, local: bool = True,
    rows: int = 16, waiting: int = 64, documents: Iterable[str] = (),
) -> Starlette:  # fmt: skip
    """The application for models by name; one with LoRA adapters is there twice, with them and without.

    Args:
        key: what clients must send as `Authorization: Bearer`; nothing if unset.
        local: only answer to the names of this machine.
        rows: how many texts of a model are written at once.
        waiting: how many more may wait; then the answer is 429.
        documents: what stage 1 read, gone through anew whenever a place is looked up.
    """
    site = Site(models, rows, waiting, documents)
    return Starlette(
        routes=[
            *(Route(path, site.page) for path in PAGE),
            Route("/view/{view}", site.look, methods=["POST"]),
            Route("/code/{view}", site.source),
            Route("/lesson/{language}/{name}", site.lesson),
            Route("/v1/models", site.list_models),
            Route("/v1/models/{name:path}", site.one_model),
            Route("/v1/chat/completions", site.create, methods=["POST"]),
            Route("/v1/completions", site.create, methods=["POST"]),
        ],
        middleware=[Middleware(Guard, key=key, local=local)],
        exception_handlers={Refused: refuse, HTTPException: refuse},
        lifespan=site.lifespan,
    )
