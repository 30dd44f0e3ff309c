"""A stage of answers on a tiny model: sessions, what is asked, and what was noted meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path

from logs import WRONG, session, write
from misstep import ingest, models, store
from misstep.config import RunConfig, load_config
from misstep.pipeline import answers
from misstep.pipeline.job import Job
from misstep.types import Prompt

COUNT = 12
SETTINGS = {
    "dtype": "float32",
    "sample.batch_size": 8,
    "sample.max_new_tokens": 8,
    "ingest.workers": 1,
}


class Stage:
    """One stage that may be asked again and again, each time in a run folder of its own."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder, self.model = folder, model
        log = write(folder / "log.jsonl", [session(n, WRONG % n) for n in range(COUNT)])
        found = ingest.ingest([log], config=RunConfig().ingest).sessions
        self.sessions = {each.id: each for each in found}
        self.prompts = tuple(Prompt(session=s.id, step=1) for s in found)
        self.said: list[str] = []
        self.adapter: Path | None = None

    def ask(self, run: str, **settings):
        """The answers; notes of an earlier asking are gone."""
        shutil.rmtree(self.model / "notes", ignore_errors=True)
        config = load_config(None, {**SETTINGS, **settings, "model": str(self.model)})
        job = Job(store.RunFolder(self.folder / run), config, say=self.said.append)
        key = store.weights_digest(self.adapter) if self.adapter else ""
        what = answers.Ask(
            stage="base",
            model=str(self.model),
            adapter=self.adapter,
            adapter_key=key,
            prompts=self.prompts,
            greedy=True,
            num_generations=2,
            sample=config.sample,
            seed=4,
        )
        return answers.ask(job, self.sessions, what)

    def facts(self, run: str):
        return store.RunFolder(self.folder / run).noted("answers base")

    def noted(self) -> list[tuple[str, int, int]]:
        """Batch, try and process of each answering."""
        names = (path.name.split() for path in sorted((self.model / "notes").glob("* *")))
        return [(batch, int(tries), int(pid)) for batch, tries, pid in names]


def adapter_on(model: Path, folder: Path) -> Path:
    """A LoRA adapter that changes what the model says."""
    import torch
    from peft import LoraConfig, get_peft_model

    loaded = models.load(str(model), dtype="float32")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        tuned = get_peft_model(loaded.network, LoraConfig(r=2, target_modules=["q_proj", "v_proj"]))
        for name, weight in tuned.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight)
    tuned.save_pretrained(folder)
    models.write_adapter_note(folder, loaded.ref, loaded.base_hash)
    return folder
