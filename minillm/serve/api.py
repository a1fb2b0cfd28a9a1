"""The server: OpenAI's routes over one batched loop per model, for programs on this machine.

A web page of another site cannot use it: a foreign Host (DNS rebinding) or Origin is refused. A client that goes
away stops the computation of its rows.
"""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from minillm.assistant import Assistant
from minillm.serve.answers import Form, Piece, Writer, usage
from minillm.serve.batch import Drawn, Full, Loop, Row
from minillm.serve.requests import Job, Refused, read_body, read_job
from minillm.tokenizer import Tokenizer

LARGEST_BODY, SECONDS_FOR_BODY = 2**20, 20
THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class Answer:
    """The rows of one request in the loop, and what they have written. Raises Refused if the queue is full."""

    def __init__(self, loop: Loop, tokenizer: Tokenizer, job: Job):
        self.queue: asyncio.Queue[tuple[int, Drawn]] = asyncio.Queue()
        here = asyncio.get_running_loop()

        def emit(index: int) -> Callable[[Drawn], None]:
            def hand_over(drawn: Drawn) -> None:
                with suppress(RuntimeError):  # the server has ended
                    here.call_soon_threadsafe(self.queue.put_nowait, (index, drawn))

            return hand_over

        wanted = [(prompt, sampling) for prompt in job.prompts for sampling in job.samplings]
        self.rows = [Row(prompt, sampling, emit(i), job.top) for i, (prompt, sampling) in enumerate(wanted)]
        self.writers = [Writer(tokenizer, job.stops, job.chat) for _ in wanted]
        try:
            loop.submit(self.rows)
        except Full:
            raise Refused(429, "too many requests wait: try again in a moment", code="rate_limit_exceeded") from None

    async def pieces(self) -> AsyncIterator[Piece]:
        """What each token adds, as it comes, until all rows are done. Raises Refused if the computation fails."""
        running = set(range(len(self.rows)))
        while running:
            index, drawn = await self.queue.get()
            if index not in running:  # tokens after a stop
                continue
            if drawn.finish == "error":
                raise Refused(500, "the computation failed: the server's terminal says why", code="server_error")
            writer = self.writers[index]
            text = writer.push(drawn)
            finish = "stop" if writer.stopped else drawn.finish
            if finish:
                running.remove(index)
                self.rows[index].cancelled = True
            yield Piece(index, text, None if drawn.finish == "stop" else drawn, finish)

    def cancel(self) -> None:
        """Let the loop drop the rows."""
        for row in self.rows:
            row.cancelled = True


class Events(StreamingResponse):
    """Server-sent events of an answer, which ends with the connection."""

    def __init__(self, answer: Answer, form: Form):
        super().__init__(events(answer, form), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self.answer = answer

    async def __call__(self, *connection: Any) -> None:
        try:
            await super().__call__(*connection)
        finally:
            self.answer.cancel()


async def events(answer: Answer, form: Form) -> AsyncIterator[str]:
    """The chunks of a stream, then `[DONE]`."""
    job = form.job
    try:
        for index in range(len(answer.rows)) if job.chat else ():
            yield event(form.opening(index))
        async for piece in answer.pieces():
            if piece.text or piece.finish or job.top is not None:
                yield event(form.chunk(piece))
        if job.usage:
            yield event(form.head(True) | {"choices": [], "usage": usage(job, answer.writers)})
    except Refused as refused:
        yield event(fault(refused))
    yield "data: [DONE]\n\n"


def event(value: object) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"


def fault(refused: Refused) -> dict[str, Any]:
    """An error in OpenAI's form."""
    kinds = {401: "authentication_error", 429: "rate_limit_error", 500: "server_error"}
    kind = kinds.get(refused.status, "invalid_request_error")
    return {"error": {"message": refused.message, "type": kind, "param": refused.param, "code": refused.code}}


def refuse(refused: Refused) -> Response:
    headers = {"Retry-After": "1"} if refused.status == 429 else {}
    return JSONResponse(fault(refused), refused.status, headers)


async def refused_route(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return refuse(error)


async def no_route(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refuse(Refused(error.status_code, f"{error.detail}: see /v1/models", code="unknown_url"))


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


async def gone(request: Request) -> None:
    """Returns when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def collect(answer: Answer) -> list[Piece]:
    return [piece async for piece in answer.pieces()]


async def whole(answer: Answer, form: Form, request: Request) -> Response:
    """The finished answer; an empty response, which nobody reads, if the client leaves before."""
    work, leaving = asyncio.ensure_future(collect(answer)), asyncio.ensure_future(gone(request))
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            return Response(status_code=499)
        return JSONResponse(form.whole(work.result(), usage(form.job, answer.writers)))
    finally:
        answer.cancel()
        work.cancel()
        leaving.cancel()


class Guard:
    """Refuses what comes from other sites or, with a key, without it; before anything is read."""

    def __init__(self, app: Any, key: str | None, local: bool):
        self.app, self.key, self.local = app, key, local

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and (refused := self.check(Request(scope))) is not None:
            await refuse(refused)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

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
        given = request.headers.get("authorization", "").removeprefix("Bearer ").encode("latin-1")  # as it came
        if self.key is not None and not hmac.compare_digest(given, self.key.encode("utf-8", "replace")):
            return Refused(401, "the API key is missing or wrong", code="invalid_api_key")
        return None


def make_app(
    models: Mapping[str, Assistant], key: str | None = None, local: bool = True, rows: int = 16, waiting: int = 64
) -> Starlette:
    """The application for models by name.

    Args:
        key: what clients must send as `Authorization: Bearer`; nothing if unset.
        local: only answer to the names of this machine.
        rows: how many texts of a model are written at once.
        waiting: how many more may wait; then the answer is 429.
    """
    loops = {name: Loop(model.gpt, model.tokenizer.end, rows, waiting) for name, model in models.items()}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        for loop in loops.values():
            loop.close()

    def create(chat: bool) -> Callable[[Request], Awaitable[Response]]:
        async def route(request: Request) -> Response:
            job = read_job(read_body(await read(request)), models, chat)
            tokenizer = models[job.model].tokenizer
            answer, form = Answer(loops[job.model], tokenizer, job), Form(job, tokenizer)
            return Events(answer, form) if job.stream else await whole(answer, form, request)

        return route

    def about(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": 0, "owned_by": "minillm"}

    async def list_models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [about(name) for name in models]})

    async def one_model(request: Request) -> Response:
        if (name := request.path_params["name"]) not in models:
            raise Refused(404, "there is no such model: GET /v1/models lists them", "model", "model_not_found")
        return JSONResponse(about(name))

    return Starlette(
        routes=[
            Route("/v1/models", list_models),
            Route("/v1/models/{name:path}", one_model),
            Route("/v1/chat/completions", create(chat=True), methods=["POST"]),
            Route("/v1/completions", create(chat=False), methods=["POST"]),
        ],
        middleware=[Middleware(Guard, key=key, local=local)],
        exception_handlers={Refused: refused_route, HTTPException: no_route},
        lifespan=lifespan,
    )
