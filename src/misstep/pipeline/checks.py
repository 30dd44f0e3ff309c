"""What settings come to before anything begins: refusals, and whether the round of `rft` comes.

In: settings. Out: nothing, or a refusal; sentences that say what is left out. A run and its plan
ask here, so that neither promises what the other would not do.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from misstep import mine, models
from misstep.config import RunConfig
from misstep.errors import ConfigError, ModelError
from misstep.train import ranks

VOTES, SUPPORTED = "mine.min_votes", "mine.supported_values"
"""What is asked of a chosen side; `rft` has keys of the same names."""
NO_RFT = "rft is a round of `misstep run`; here the pairs of the folder are trained on"
"""Said by `misstep train` where that round is asked for."""


def check_run(config: RunConfig) -> None:
    """Refuse settings that a run cannot use.

    Raises:
        ConfigError: several processes; model folders in the place of adapters; several rounds, and
            an endpoint answers in each of them; 4 bits without bitsandbytes.
        ModelError: there is no such model.
    """
    check_alone("run")
    if not config.lora.enabled:
        raise ConfigError(
            "lora.enabled: false leaves model folders, and a run measures adapters; mine and train "
            "one after the other, then set logs of the model beside those of its base with "
            "`misstep compare`"
        )
    if config.rounds > 1 and config.endpoint.url is not None:
        raise ConfigError(
            f"rounds: {config.rounds} with endpoint.url: each round samples the adapter of the "
            f"round before it, and an endpoint serves the same model in every round; set rounds "
            f"to 1, or leave the endpoint out"
        )
    models.resolve(config.model)
    check_bits(config)


def check_bits(config: RunConfig) -> None:
    """Refuse 4 bits where nothing can load them.

    Raises:
        ConfigError: bitsandbytes is not installed.
    """
    if config.lora.load_in_4bit:
        models.check_four_bits()


def check_sight(config: RunConfig, corpus: mine.Corpus) -> None:
    """Refuse a model that reads text alone where every session shows it an image.

    Raises:
        ModelError: it would be trained on nothing and asked nothing.
    """
    shown = 0
    for session in corpus.sessions.values():
        shown += 1
        if not any(part.kind == "image" for each in session.messages for part in each.parts):
            return
    if shown and not models.takes_images(config.model):
        raise ModelError(
            f"{config.model}: reads text only, and each of the {shown:,} sessions shows an image; "
            f"give a model that takes images (docs/models.md)"
        )


def check_alone(command: str) -> None:
    """Refuse to do in several processes what only one may do: each would scan, sample and write.

    Raises:
        ConfigError: several processes were started together.
    """
    if ranks.count() > 1:
        raise ConfigError(
            f"misstep {command}: {ranks.count()} processes were started at once, and only training "
            f"can be shared; start `misstep {command}` as one process, and train what "
            f"`misstep mine` left in DIR with `accelerate launch -m misstep train DIR`"
        )


def left_out(config: RunConfig) -> str | None:
    """Why a round of `rft` that was asked for cannot come; None where it can, or none was."""
    if not config.rft.enabled:
        return None
    if not (config.dpo.enabled or config.kto.enabled):
        return "rft is left out: dpo and kto are off, so that no preference stage would follow it"
    if config.endpoint.url is not None:
        return "rft is left out: an endpoint goes on answering as it did before that stage"
    return None


def held_to(config: RunConfig, given: Collection[str] = ()) -> RunConfig:
    """The settings with what `rft` asks of chosen sides asked of every pair, or more.

    For where that round is asked for and does not come: SFT alone was right more often than DPO on
    pairs that nothing confirms (design/ablation.md).

    Args:
        given: keys (`VOTES`, `SUPPORTED`) that stay as they are.
    """
    mine, rft = config.mine, config.rft
    if not rft.enabled:
        return config
    votes = max(mine.min_votes, 0 if VOTES in given else rft.min_votes)
    supported = mine.supported_values or (rft.supported_values and SUPPORTED not in given)
    return replace(config, mine=replace(mine, min_votes=votes, supported_values=supported))


def told_held(config: RunConfig) -> str:
    """What is said of settings that `held_to` changed."""
    values = "true" if config.mine.supported_values else "false"
    return (
        f"without rft its demands are made of the pairs themselves: {VOTES} "
        f"{config.mine.min_votes}, {SUPPORTED} {values} (docs/training.md)"
    )
