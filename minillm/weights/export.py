"""Runs out: a Hugging Face folder, a GGUF file, or a PEFT adapter."""

import copy
from pathlib import Path
from typing import Literal

from torch import Tensor

from minillm import lora
from minillm.plumbing.files import InputError, make_folder, write_json
from minillm.plumbing.tensors import write_tensors
from minillm.run_folder import Run, model_state
from minillm.weights import gguf_model, names
from minillm.weights.families import write_config, written_family
from minillm.weights.gguf_file import write_gguf
from minillm.weights.huggingface import WEIGHTS
from minillm.weights.jinja import program_of
from minillm.weights.tokenizer_json import write_tokenizer

PARTS = {  # our linear layers -> PEFT's names of them, by family
    "llama": {"query": "q_proj", "key": "k_proj", "value": "v_proj", "out": "o_proj", "up": "up_proj", "gate": "gate_proj",
              "down": "down_proj"},
    "gpt2": {"out": "c_proj", "up": "c_fc", "down": "c_proj"},
}  # fmt: skip
ROOT = "base_model.model."


def export_run(run: Run, format: Literal["hf", "gguf", "peft"], out: Path) -> None:
    """Write a run for other programs; adapters are merged but for peft. Raises InputError for what these cannot say."""
    if format == "peft":
        write_peft(run, out)
        return
    if lora.adapters(run.gpt):
        run = Run(copy.deepcopy(run.gpt), run.tokenizer)
        lora.merge(run.gpt)
    (write_huggingface if format == "hf" else write_gguf_file)(run, out)


def write_huggingface(run: Run, folder: Path) -> None:
    """A folder that `AutoModelForCausalLM` and `AutoTokenizer` open."""
    config = run.gpt.config
    about, (_, family) = write_config(config), written_family(config)
    make_folder(folder)
    write_tensors(folder / WEIGHTS, names.to_theirs(model_state(run.gpt), family.tensors))
    tokens = {"bos_token_id": run.tokenizer.doc, "eos_token_id": run.tokenizer.end, "pad_token_id": run.tokenizer.pad}
    write_json(folder / "config.json", about | tokens)
    write_json(folder / "generation_config.json", tokens)
    write_tokenizer(folder, run.tokenizer, program_of(run.tokenizer))


def write_gguf_file(run: Run, path: Path) -> None:
    """A file that llama.cpp, Ollama and LM Studio open; all numbers are float32."""
    config = run.gpt.config
    _, family = written_family(config)
    fields = gguf_model.fields_of(config, run.tokenizer, program_of(run.tokenizer), path.stem)
    heads = gguf_model.heads_of(config, family.gguf)
    tensors = names.ours_to_gguf(model_state(run.gpt), family.tensors, heads)
    write_gguf(path, fields, tensors | gguf_model.slowdown_of(config))


def write_peft(run: Run, folder: Path) -> None:
    """The adapter of a LoRA run as a folder that `PeftModel` opens."""
    layers = lora.adapters(run.gpt)
    if not layers:
        raise InputError("the run has no adapter: export it as hf or gguf, or tune it with --lora")
    _, family = written_family(run.gpt.config)
    if family.tensors == "gpt2" and any(name.endswith(("query", "key", "value")) for name in layers):
        raise InputError("query, key and value are one layer, c_attn, in GPT-2: tune with --lora-targets out up down")
    settings = next(iter(layers.values())).config
    table = {ours: theirs for theirs, ours in names.FAMILIES[family.tensors].items()}
    tensors: dict[str, Tensor] = {}
    for name, layer in layers.items():
        block = name.split(".")[1]
        place = table[name.replace(f".{block}.", ".N.")].replace(".N.", f".{block}.")
        tensors |= {f"{ROOT}{place}.lora_{ab}.weight": getattr(layer, ab) for ab in ("A", "B")}
    about = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": None, "r": settings.rank,
        "lora_alpha": settings.alpha, "lora_dropout": settings.dropout, "bias": "none", "inference_mode": True,
        "fan_in_fan_out": family.tensors == "gpt2", "init_lora_weights": True, "use_rslora": False, "use_dora": False,
        "target_modules": sorted({name.rpartition(".lora_")[0].removeprefix(ROOT) for name in tensors}),
    }  # fmt: skip
    make_folder(folder)
    write_tensors(folder / "adapter_model.safetensors", tensors)
    write_json(folder / "adapter_config.json", about)
