"""The command line: `python -m minillm COMMAND --help`. It only parses and calls."""

import errno
import os
import re
import sys
from collections.abc import Sequence

import tyro

from minillm import checkpoint
from minillm.checkpoint import TrainingError
from minillm.commands.claims import Claims
from minillm.commands.classroom import Homework, Notebooks
from minillm.commands.material import TokenizerCommand, World
from minillm.commands.models import Chat, Complete, Evaluate
from minillm.commands.stages import Demo, Prefer, Pretrain, Sft
from minillm.settings import TrainConfig

COMMANDS = {
    "demo": Demo, "pretrain": Pretrain, "sft": Sft, "prefer": Prefer, "chat": Chat, "complete": Complete,
    "evaluate": Evaluate, "world": World, "tokenizer": TokenizerCommand, "claims": Claims, "homework": Homework,
    "notebooks": Notebooks,
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return its exit code: 0 done, 1 training broke off, 2 bad input, 130 Ctrl-C."""
    for output in (sys.stdout, sys.stderr):
        if hasattr(output, "reconfigure"):
            output.reconfigure(encoding="utf-8", errors="replace")
    command = None
    try:
        command = tyro.extras.subcommand_cli_from_dict(
            COMMANDS, args=arguments, prog="python -m minillm", config=(tyro.conf.FlagCreatePairsOff,),
            description="minillm: read, build and measure a large language model from scratch.",
        )  # fmt: skip
        command.run()
        return 0
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not re.search("out of memory|can't allocate memory", str(error)):
            raise
        print("error: out of memory: take a smaller model or batch, or --accumulate 2 or more", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        hint = checkpoint.how_to_go_on(command.out) if isinstance(command, TrainConfig) else ""
        print(f"\ninterrupted{hint}", file=sys.stderr)
        return 130
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        mend = "free some space (the last checkpoint, if any, stays)" if full else "check the path and its permissions"
        place = f"{error.filename}: " if error.filename else ""
        print(f"error: {place}{error.strerror or error}: {mend}", file=sys.stderr)
        return 1 if full else 2


if __name__ == "__main__":
    sys.exit(main())
