"""The laboratory: what is rehearsed, and the bases of controls."""

import pytest
import torch

from minillm.claims import lab as laboratory
from minillm.claims.lab import REHEARSE_ROWS, REHEARSED, Lab
from minillm.world.text import Writer


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Lab:
    return Lab(5, "smoke", folder=tmp_path_factory.mktemp("bases"))


def test_documents_without_places_name_none(lab):
    names = {name for place in lab.held_out for name in place.names.values()}
    documents = lab.documents_without(lab.held_out)
    assert documents == [d for d in lab.base.documents if not any(name in d for name in names)]
    assert 0.2 < len(documents) / len(lab.base.documents) < 0.6


def test_a_base_without_facts_read_the_names_but_no_document_that_answers(lab):
    base = lab.base_without_facts(lab.held_out)
    assert len(base.documents) == len(lab.base.documents)
    assert base.run.tokenizer.sha256() == lab.base.run.tokenizer.sha256()
    named = 0
    for place in lab.held_out:
        for text in base.documents:
            if any(name in text for name in place.names.values()):
                named += 1
                assert not any(value in text for value in place.values.values())
    assert named > 20  # in questions, for one
    everything = list(Writer(lab.world, lab.seed).documents(10 * len(base.documents)))
    rest = iter(everything)
    assert all(text in rest for text in base.documents)  # in the order in which the usual base would go on


@pytest.mark.parametrize(
    ("rehearse", "rows", "texts"),
    [(None, REHEARSE_ROWS, None), ((), 0, 0), (["Peru lies in South America."] * 4000, REHEARSE_ROWS, REHEARSED)],
)
@pytest.mark.parametrize("encoded", [False, True])
def test_a_tuning_rehearses_what_it_is_told_to(rehearse, rows, texts, encoded, lab, monkeypatch):
    seen = {}

    def look(stage, config, base, examples, loss, rehearsal=(), *rest, **more):
        seen.update(rows=config.rehearse_rows, documents=list(rehearsal))
        return base

    monkeypatch.setattr(laboratory, "finetune", look)
    monkeypatch.setattr(laboratory, "sft", lambda config, base, d, text, bar: look("", config, base, d, None, text))
    lab.tune_encoded([], rehearse=rehearse) if encoded else lab.tune(lab.pairs, rehearse=rehearse)
    expected = lab.base.documents if texts is None else list(rehearse[:texts])
    assert seen == {"rows": rows, "documents": expected}


def test_random_weights_rehearse_nothing_unless_told_to(lab):
    plain, told = lab.from_scratch(lab.pairs, 2), lab.from_scratch(lab.pairs, 2, rehearse=lab.base.documents)
    assert "rehearsal_loss" not in plain.metrics[-1] and "rehearsal_loss" in told.metrics[-1]
    assert not torch.equal(plain.gpt.tok_emb.weight, told.gpt.tok_emb.weight)
