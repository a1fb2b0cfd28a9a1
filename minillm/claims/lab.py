"""The laboratory: what the experiments share for one seed, its base model, places, pairs, and ways to
tune and to ask."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeVar

from minillm.assistant import Assistant
from minillm.base_cache import CACHE, Base, cached_base, world_base
from minillm.chat import Dialogue, Message, turn
from minillm.claims.marks import Answers, Marks, right, tally
from minillm.demo import DemoConfig, fast_config
from minillm.finetune import finetune
from minillm.generate import continuations
from minillm.gpt import GPT
from minillm.measure.evaluate import ANSWER
from minillm.packing import packed_batch
from minillm.run_folder import Run
from minillm.sampling import Sampling
from minillm.stage1_pretrain import PretrainConfig
from minillm.stage2_sft import SFTConfig, sft
from minillm.tokenizer import Tokenizer
from minillm.training import MicroBatch, mean_loss
from minillm.world.exam import Question, baselines
from minillm.world.pairs import fact_pairs
from minillm.world.tables import LANGUAGES, RELATIONS, Place, World, load_world, split_places
from minillm.world.text import Writer

T = TypeVar("T")
Size = Literal["full", "quick", "smoke"]
REHEARSED = 3000  # documents of stage 1 to rehearse: more than a tuning reads
REHEARSE_ROWS = 4  # of them in each step, next to 32 dialogues
PLAIN_STEPS, PLAIN_LR = 240, 5e-4  # of SFT without rehearsal: half of the demo's rate, which forgets less


@dataclass(frozen=True)
class Lab:
    """One seed of an experiment. `quick` asks fewer questions, tries fewer settings and tunes in fewer
    steps; `smoke` uses tiny models for a few steps, to see that everything runs."""

    seed: int
    size: Size = "full"
    bar: bool = False
    folder: Path = CACHE

    # ------------------------------------------------------------------------------------- material

    @property
    def config(self) -> DemoConfig:
        """Steps and sizes of `demo --fast`; in a quick run about two thirds of the steps of tuning."""
        fewer: dict[str, dict[str, Any]] = {
            "full": {},
            "quick": dict(sft_steps=140, scratch_steps=200, lora_steps=110, preference_steps=170),
            "smoke": dict(documents=300, vocab_size=300),
        }
        return replace(fast_config(self.seed), **fewer[self.size])

    @cached_property
    def world(self) -> World:
        return load_world()

    @cached_property
    def base(self) -> Base:
        """The base model of `demo --fast`, trained once per seed."""
        if self.size == "smoke":
            return self.pretrain(list(Writer(self.world, self.seed).documents(self.config.documents)))
        return world_base(self.seed, folder=self.folder, bar=self.bar)

    def pretrain(self, documents: list[str], tokenizer: Tokenizer | None = None, **settings: Any) -> Base:
        """Another base model, from other documents or with other settings; trained once as well."""
        settings = {"steps": self.config.pretrain_steps, "vocab_size": self.config.vocab_size} | settings
        if self.size == "smoke":
            settings |= {"steps": 2, "n_layer": 1, "n_head": 2, "n_embd": 16, "batch_size": 2}
        return cached_base(PretrainConfig(seed=self.seed, **settings), documents, tokenizer, self.folder, self.bar)

    @cached_property
    def large(self) -> Base:
        """The base model of the whole demo, nearly three times as long in training; in a quick run that of `--fast`."""
        return world_base(self.seed, fast=False, folder=self.folder, bar=self.bar) if self.size == "full" else self.base

    @cached_property
    def weak(self) -> Base:
        """A base that read the same text for a third of the time, with the same tokenizer: a small student."""
        return self.pretrain(self.base.documents, self.base.run.tokenizer, steps=self.config.pretrain_steps // 3)

    def documents_without(self, places: Iterable[Place], base: Base | None = None) -> list[str]:
        """The documents of stage 1 that name none of the places in either language: to rehearse what says nothing
        of the places held out."""
        names = {name for place in places for name in place.names.values()}
        return [text for text in (base or self.base).documents if not any(name in text for name in names)]

    def base_without_facts(self, places: Sequence[Place]) -> Base:
        """A base that read everything but the facts of these places: as many documents and steps as this seed's base,
        with the same tokenizer, and none that names a place and one of its values. So it has met the places' names,
        and questions about them, but not what answers these."""
        stating = [(set(place.names.values()), set(place.values.values())) for place in places]

        def states(text: str) -> bool:
            return any(any(n in text for n in names) and any(v in text for v in values) for names, values in stating)

        writer = Writer(self.world, self.seed)
        count = len(self.base.documents)
        rest = (text for text in writer.documents(10 * count) if not states(text))
        return self.pretrain(list(islice(rest, count)), self.base.run.tokenizer)

    @cached_property
    def taught(self) -> list[Place]:
        """The places that tuning may speak of."""
        return split_places(self.world, self.seed)[0]

    @cached_property
    def held_out(self) -> list[Place]:
        """The places that only stage 1 spoke of."""
        return split_places(self.world, self.seed)[1]

    @cached_property
    def pairs(self) -> list[list[Message]]:
        """Questions about taught places with their answers, in random order."""
        return self.mixed(fact_pairs(self.world, self.taught, self.seed))

    @cached_property
    def assistant(self) -> Run:
        """The base tuned on all of `pairs`: several experiments compare with it."""
        return self.tune(self.pairs)

    def facts(
        self,
        places: Sequence[Place] | None = None,
        languages: Sequence[str] = LANGUAGES,
        relations: Sequence[str] = RELATIONS,
        wordings: int = 9,
    ) -> list[list[Message]]:
        """Questions about places (the taught ones if unset) with their bare answers, in random order: in
        the first `wordings` wordings of those that SFT may use."""
        places = self.taught if places is None else places
        pairs = []
        for place, language, relation, (answer, *_) in self.world.facts(places, languages, relations):
            questions = self.world.write("question", place, relation, language)
            pairs += [turn(question, answer) for question in questions[:wordings]]
        return self.mixed(pairs)

    def random(self) -> random.Random:
        """A fresh source of randomness, always the same for one seed."""
        return random.Random(self.seed)

    def mixed(self, items: Iterable[T]) -> list[T]:
        """In random order."""
        items = list(items)
        self.random().shuffle(items)
        return items

    def pick(self, full: T, quick: T) -> T:
        """The setting for this size."""
        return full if self.size == "full" else quick

    @cached_property
    def fresh(self) -> list[str]:
        """Documents about the same world by another seed, to measure a loss on: no model has read them."""
        return list(Writer(self.world, self.seed + 1000).documents(9 if self.size == "smoke" else 600))

    # ------------------------------------------------------------------------------------ questions

    def items(
        self,
        places: Sequence[Place] | None = None,
        kind: str = "question",
        languages: Sequence[str] = LANGUAGES,
        relations: Sequence[str] = RELATIONS,
    ) -> list[Question]:
        """One question for every fact of the places (the held-out ones if unset) in each language."""
        places = self.held_out if places is None else places
        rng, items = self.random(), []
        for place, language, relation, accepted in self.world.facts(places, languages, relations):
            text = rng.choice(self.world.write(kind, place, relation, language))
            items.append(Question(place.names["en"], text, accepted, language, relation))
        return self.some(items)

    def some(self, items: list[Question], most: int = 250) -> list[Question]:
        """All items; at most `most` of them in a quick run, a dozen in a smoke run."""
        most = {"full": len(items), "quick": most, "smoke": 12}[self.size]
        return sorted(self.mixed(items)[:most], key=items.index) if most < len(items) else items

    @cached_property
    def constant_answer(self) -> float:
        """Share of questions about held-out places that the best constant answers would get right."""
        table = baselines(self.world, self.seed).values()
        return sum(row["majority"] * row["n"] for row in table) / sum(row["n"] for row in table)

    def ask(self, run: Run, items: Sequence[Question], sampling: Sampling = ANSWER) -> Answers:
        """The answers to the items, asked in the dialogue format; greedy unless told otherwise."""
        return Assistant(run).answers([item.messages for item in items], self.shortened(sampling))

    def complete(self, run: Run, prompts: list[list[int]], sampling: Sampling = ANSWER) -> Answers:
        """What the model puts after each prompt."""
        return continuations(run.gpt, run.tokenizer, prompts, self.shortened(sampling))

    def shortened(self, sampling: Sampling) -> Sampling:
        """The same, but for four tokens in a smoke run."""
        return replace(sampling, max_new_tokens=4) if self.size == "smoke" else sampling

    def finish(self, run: Run, items: Sequence[Question]) -> tuple[list[Question], Answers, list[float]]:
        """Those of the facts whose sentence ends with the value, what a base model puts there, and 1 where
        that begins with the value: what it knows, asked as raw text."""
        facts, prompts = unfinished(run.tokenizer, items)
        answers = self.complete(run, prompts)
        known = [float(text.startswith(i.accepted[0])) for i, (text, _) in zip(facts, answers, strict=True)]
        return facts, answers, known

    def score(self, run: Run, items: Sequence[Question]) -> Marks:
        """Marks of a model: 1 for a right answer that ends with [END]."""
        return tally(items, right(items, self.ask(run, items)))

    # --------------------------------------------------------------------------------------- tuning

    def steps(self, steps: int) -> int:
        """`steps` steps, or two in a smoke run."""
        return 2 if self.size == "smoke" else steps

    def sft_config(self, steps: int | None = None, rehearse: bool = True, **settings: Any) -> SFTConfig:
        """The demo's settings of stage 2, with rehearsal or without."""
        settings = {"rehearse_rows": REHEARSE_ROWS if rehearse else 0} | settings
        return SFTConfig(steps=self.steps(steps or self.config.sft_steps), validation=0.0, seed=self.seed, **settings)

    def tune(
        self,
        dialogues: Sequence[Sequence[Message]],
        base: Base | Run | None = None,
        steps: int | None = None,
        *,
        rehearse: Sequence[str] | None = None,
        **settings: Any,
    ) -> Run:
        """SFT as in the demo, from this seed's base unless told otherwise.

        `rehearse` is raw text to learn on next to the pairs: `()` for none; if unset, the first 3,000 documents
        that the given base read (this seed's base, for a model without documents). Conditions that are compared
        should rehearse alike, and `Claim.rehearsed` says what.
        """
        base = base or self.base
        run, documents = (base.run, base.documents) if isinstance(base, Base) else (base, self.base.documents)
        text = (documents if rehearse is None else rehearse)[:REHEARSED]
        return sft(self.sft_config(steps, bool(text), **settings), run, dialogues, text, bar=self.bar)

    def tune_plain(
        self, dialogues: Sequence[Sequence[Message]], base: Base | Run | None = None, **settings: Any
    ) -> Run:
        """SFT that rehearses nothing, at half of the demo's rate, from this seed's base unless told otherwise."""
        settings = {"steps": self.pick(PLAIN_STEPS, 160), "lr": PLAIN_LR} | settings
        return self.tune(dialogues, base, rehearse=(), **settings)

    def tune_encoded(
        self,
        examples: Sequence[Dialogue],
        base: Run | None = None,
        prepare: Callable[[GPT], None] | None = None,
        *,
        rehearse: Sequence[str] | None = None,
        **settings: Any,
    ) -> Run:
        """The same with dialogues encoded by the caller, for other formats and masks than `chat.py` has;
        `prepare` may freeze or add parameters first."""
        text = (self.base.documents if rehearse is None else rehearse)[:REHEARSED]
        base, config = base or self.base.run, self.sft_config(rehearse=bool(text), **settings)
        n_ctx, pad = base.gpt.config.n_ctx, base.tokenizer.pad

        def loss(model: GPT, drawn: list[Dialogue]) -> list[MicroBatch]:
            return mean_loss(model, packed_batch(drawn, n_ctx, pad), config)

        return finetune("sft", config, base, examples, loss, text, bar=self.bar, adapt=prepare)

    def from_scratch(
        self, dialogues: Sequence[Sequence[Message]], steps: int | None = None, rehearse: Sequence[str] = ()
    ) -> Run:
        """SFT from random weights, at the rates of stage 1, until it fits its own pairs; text to `rehearse` is then
        the first that it reads."""
        steps = steps or self.config.scratch_steps
        return self.tune(dialogues, self.blank(), steps, rehearse=rehearse, batch_size=64, lr=1e-2, muon_lr=1e-2)

    def blank(self) -> Run:
        """A model like the base, with random weights."""
        return Run(GPT(self.base.run.gpt.config, self.seed + 1), self.base.run.tokenizer)


def unfinished(tokenizer: Tokenizer, items: Sequence[Question]) -> tuple[list[Question], list[list[int]]]:
    """The same facts as sentences to be completed, where the value comes last: raw text, without roles."""
    kept, prompts = [], []
    for item in items:
        value = item.accepted[0]
        endings = (".", "。")
        sentence = next(
            (s for s in item.accepted[1:] if s[: -1 if s.endswith(endings) else None].endswith(value)), None
        )
        if sentence is not None:
            kept.append(item)
            prompts.append([tokenizer.doc, *tokenizer.encode(sentence[: sentence.rindex(value)].rstrip())])
    return kept, prompts
