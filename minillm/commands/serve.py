"""The command `serve`."""

import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from minillm.assistant import load
from minillm.material.corpus import survey
from minillm.material.text_files import TextFiles
from minillm.plumbing.files import InputError
from minillm.run_folder import read_config

LOCAL = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class Serve:
    """A page to see your models choose each token, and an API in OpenAI's form, on this machine."""

    run_folders: Annotated[tuple[Path, ...], tyro.conf.arg(name="run"), tyro.conf.UseAppendAction]
    """Run folder of a model, once for each: it is asked for by the folder's name."""
    text: tuple[Path, ...] = ()
    """Text files that one of the runs read in stage 1, to look up what it read about a place."""
    host: str = "127.0.0.1"
    """Address to listen on; other than this machine's only with --api-key."""
    port: int = 8000
    """Port to listen on."""
    api_key: str | None = None
    """What clients must send as their key."""
    device: str = "auto"
    """cpu, cuda or mps."""

    def run(self) -> None:
        if self.host not in LOCAL and not self.api_key:
            raise InputError(f"--host {self.host}: others could use your models: add --api-key, a secret of your own")
        names = model_names(self.run_folders)
        try:
            import uvicorn

            from minillm.serve.api import make_app
        except ModuleNotFoundError as missing:
            if missing.name not in ("uvicorn", "starlette"):
                raise
            raise InputError(f"{missing.name} is not installed: python -m pip install starlette uvicorn") from None
        listener = listen(self.host, self.port)
        models = {name: load(folder, self.device) for name, folder in names.items()}
        documents = text_of(self.text, self.run_folders) if self.text else ()
        app = make_app(models, self.api_key, local=self.host in LOCAL, documents=documents)
        place = f"[{self.host}]" if ":" in self.host else self.host
        print(
            f"http://{place}:{listener.getsockname()[1]}/ shows {', '.join(models)}, /v1 is the API; Ctrl-C ends it",
            flush=True,
        )
        sys.setswitchinterval(0.0005)  # seconds that the loop waits at most while an answer is sent; else it is 0.005
        config = uvicorn.Config(app, log_level="warning", limit_concurrency=512, timeout_graceful_shutdown=3)
        uvicorn.Server(config).run(sockets=[listener])


def model_names(folders: Sequence[Path]) -> dict[str, Path]:
    """The folders by name; those that have the same name by their path. Raises InputError if one is given twice."""
    if not folders:
        raise InputError("--run is missing: name the run folder of a model")
    last = [folder.resolve().name for folder in folders]
    names = [name if last.count(name) == 1 else folder.as_posix() for name, folder in zip(last, folders, strict=True)]
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise InputError("--run: the same folder is given twice: name each once")
    return dict(zip(names, folders, strict=True))


def text_of(paths: Sequence[Path], folders: Sequence[Path]) -> TextFiles:
    """The documents of these files. Raises InputError unless they are, byte for byte, what one of the runs read."""
    known = [read_config(folder)[0]["data"].get("text") for folder in folders]
    for cut in ("file", "blank-line", "line"):
        documents = TextFiles(paths, cut, announce=lambda _: None)
        if survey(documents).sha256 in known:
            return documents
    raise InputError(f"--text {paths[0]}: no --run read this text in stage 1: add the base that did, or leave it out")


def listen(host: str, port: int) -> socket.socket:
    """A socket at this address. Raises InputError if it cannot be had."""
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or each answer waits 40 ms for an ACK
        return listener
    except (OSError, OverflowError) as error:
        raise InputError(f"{host}, port {port}: {error}: choose another --port or --host") from None
