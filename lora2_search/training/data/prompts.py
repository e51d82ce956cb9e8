"""Prompts and conversations as tokens, and which of these are learnt."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...config import RunConfig
from ...errors import ConfigError, Problem, first_line
from .conversation import Messages, messages_of
from .load import Data
from .reading.table import shown
from .splits import Split
from .template import NOT_COMPILED, forbidden
from .tokens import Encoded, not_encoded
from .wrong import Wrong, WrongRows, no_row

# What stands between a prompt and an option, as in lm-evaluation-harness.
_BEFORE_OPTION = " "

# What the assistant says where only the end of its turn is looked for.
_ANSWER = "An answer."

# A target that is not learnt, as torch's cross-entropy has it.
IGNORED = -100


@dataclass(frozen=True)
class Masking:
    """What became of the examples as tokens.

    Attributes:
        example: The first training example with tokens to learn; these stand in ``⟦ ⟧``.
        cut: Examples longer than ``data.max_length``, by split, where there are any.
        untrained: Examples without any token to learn, by split, where there are any.
        turn_end: See `turn_end`.
        endless: Whether nothing that is learnt ends an answer.
    """

    example: str = ""
    cut: dict[str, int] = field(default_factory=dict)
    untrained: dict[str, int] = field(default_factory=dict)
    turn_end: int | None = None
    endless: bool = False

    def lines(self, most: int) -> Iterator[str]:
        """Yield what is learnt, in plain sentences.

        Args:
            most: ``data.max_length``.
        """
        for name, count in self.cut.items():
            yield f"{count:,} of the {name} examples are longer than {most} tokens and are cut."
        for name, count in self.untrained.items():
            yield (
                f"{count:,} of the {name} examples have no token to learn: data.max_length="
                f"{most} cuts all of them away."
            )
        if self.endless:
            yield (
                "The chat template ends the assistant's turn with no special token, so the model "
                "learns no end of an answer: each runs to language.max_new_tokens. End the turn "
                "with the end-of-sequence token in language.chat_template."
            )
        yield f"An example, the tokens that are learnt in ⟦ ⟧: {self.example}"


def encode_prompts(
    data: Data, tokenizer: Any, config: RunConfig
) -> tuple[dict[str, Encoded], Masking]:
    """Tokenise all splits.

    An example is its prompt, its completion and the end-of-sequence token; a conversation is what
    the chat template makes of it. Longer ones are cut at ``data.max_length``; the prompt from
    which an answer is generated then keeps its end.

    Args:
        data: Its splits; without ``train``, they are only answered.
        tokenizer: Of the model.
        config: The run.

    Returns:
        By split, features ``input_ids``, ``targets`` (-100 where nothing is learnt) and
        ``prompt``, from which an answer is generated; of a choice also ``option_0`` ..., the
        tokens with each option, and ``starts``, where these begin; and what became of the
        examples.

    Raises:
        ConfigError: There is no chat template, it cannot render a conversation, the tokenizer has
            no end-of-sequence token, cannot encode a text or makes no token of it, or no example of
            a split that needs one has a token to learn.
    """
    reader = _Reader(tokenizer, config)
    encoded = {name: reader.encoded(name, split) for name, split in data.splits.items()}
    learnt = {name: part.learnt() > 0 for name, part in encoded.items()}
    _check_learnt(learnt, reader.longest, config)
    example = ""
    if "train" in encoded:
        example = marked(encoded["train"], int(learnt["train"].argmax()), tokenizer)
    untrained = {name: int((~has_some).sum()) for name, has_some in learnt.items()}
    first = next(iter(data.splits.values()))
    with no_row(_MODEL):
        end = reader.turn_end(messages_of(first.texts[0][0])) if reader.chat else None
    masking = Masking(
        example,
        reader.cut,
        {name: count for name, count in untrained.items() if count},
        turn_end=end,
        endless=reader.chat and end is None,
    )
    return encoded, masking


def _check_learnt(learnt: dict[str, NDArray[np.bool_]], longest: int, config: RunConfig) -> None:
    """Raise ``ConfigError`` where nothing is learnt, or judged by the tokens that are learnt."""
    for name, has_some in learnt.items():
        if has_some.any() or not (name == "train" or config.is_judged_by_tokens):
            continue
        called = "training" if name == "train" else name
        message = (
            f"no {called} example has a token to learn: the first {config.data.max_length} tokens "
            f"of each are its prompt; raise it (the longest has {longest:,})"
        )
        raise ConfigError([Problem("data.max_length", message)])


def prompt_tokens(text: str, tokenizer: Any, config: RunConfig) -> list[int]:
    """Return the tokens of a new prompt, from which an answer is generated.

    Args:
        text: The prompt; of conversations, what the user says.
        tokenizer: Of the model.
        config: The run.

    Raises:
        ConfigError: There is no chat template, it cannot render the conversation, or the tokenizer
            makes no token of the prompt.
    """
    with no_row(_MODEL):
        return _Reader(tokenizer, config).asked(text)


def turn_end(tokenizer: Any, config: RunConfig) -> int | None:
    """Return the special token with which the chat template ends the assistant's turn.

    It need not be the end-of-sequence token, and it is what the model learns to end with. ``None``
    where there is none, or the run is not on conversations.

    Args:
        tokenizer: Of the model.
        config: The run.

    Raises:
        ConfigError: There is no chat template, or it cannot render the conversation.
    """
    if config.data.messages is None:
        return None
    reader = _Reader(tokenizer, config)
    asked = [{"role": "user", "content": "A question."}, {"role": "assistant", "content": _ANSWER}]
    with no_row(_MODEL):
        return reader.turn_end(asked)


def marked(encoded: Encoded, row: int, tokenizer: Any) -> str:
    """Return an example as text, with the tokens that are learnt in ``⟦ ⟧``."""
    runs: list[tuple[bool, list[int]]] = []
    tokens, targets = (encoded.features[name][row] for name in ("input_ids", "targets"))
    for token, target in zip(tokens, targets, strict=True):
        learnt = target != IGNORED
        if not runs or runs[-1][0] != learnt:
            runs.append((learnt, []))
        runs[-1][1].append(token)
    texts = ((learnt, tokenizer.decode(run)) for learnt, run in runs)
    return "".join(f"⟦{text}⟧" if learnt else text for learnt, text in texts)


@dataclass(frozen=True)
class _Example:
    """An example before it is tokenised.

    Attributes:
        parts: Its text in stretches, each with whether it is learnt; the last one is generated.
        answers: What should be generated; of a choice, the options.
        ends: Whether the text ends by itself; else the end-of-sequence token is added.
    """

    parts: list[tuple[str, bool]]
    answers: tuple[str, ...]
    ends: bool


class _Reader:
    """Tokenises examples, and counts those that it cuts."""

    def __init__(self, tokenizer: Any, config: RunConfig) -> None:
        self._tokenizer, self._config = tokenizer, config
        self.chat = config.data.messages is not None
        if not self.chat and tokenizer.eos_token_id is None:
            message = (
                f"{config.model.name_or_path}: its tokenizer has no end-of-sequence token, with "
                "which every completion ends; set an `eos_token` in its tokenizer_config.json"
            )
            raise ConfigError([Problem(_MODEL, message)])
        self._template = chat_template(tokenizer, config)
        self.cut: dict[str, int] = {}
        self.longest = 0

    def encoded(self, name: str, split: Split) -> Encoded:
        most = self._config.data.max_length
        features: dict[str, list[list[int]]] = {"input_ids": [], "targets": [], "prompt": []}
        texts = []
        wrong = WrongRows(_MODEL)
        rows = zip(zip(*split.texts, strict=True), split.labels, strict=True)
        for number, (row, label) in enumerate(rows):
            with wrong.row(split.place(number)):
                example = self._example(row, int(label))
                tokens, targets, prompt = self._tokens(example)
                self.longest = max(self.longest, len(tokens))
                if len(tokens) > most:
                    self.cut[name] = self.cut.get(name, 0) + 1
                features["input_ids"].append(tokens[:most])
                features["targets"].append(targets[:most])
                features["prompt"].append(prompt[-most:])
                texts.append(("".join(text for text, _ in example.parts[:-1]), example.answers))
        wrong.check()
        if self._config.kind == "choice":
            features |= self._options(texts, split)
        lengths = np.array([len(tokens) for tokens in features["input_ids"]], dtype=np.int64)
        return Encoded(features, split.labels, lengths, tuple(texts))

    def _example(self, row: tuple[str, ...], label: int) -> _Example:
        if self.chat:
            return self._conversation(row[0])
        prompt, answers = row[0], (row[1],)
        completion = row[1]
        if self._config.kind == "choice":
            answers = tuple(json.loads(row[1]))
            completion = _BEFORE_OPTION + answers[label]
        everything = self._config.language.train_on == "all"
        return _Example([(prompt, everything), (completion, True)], answers, ends=False)

    def _options(
        self, texts: list[tuple[str, tuple[str, ...]]], split: Split
    ) -> dict[str, list[list[int]]]:
        """Return, of each example, the tokens with each option and where the options begin.

        What is too long keeps its end; an example with fewer options has empty ones.
        """
        most = max(len(options) for _, options in texts)
        found: dict[str, list[list[int]]] = {f"option_{i}": [] for i in range(most)}
        found["starts"] = []
        wrong = WrongRows("data.options")
        for number, (prompt, options) in enumerate(texts):
            before, starts = self._plain(prompt), []
            encoded: list[list[int]] = [[] for _ in range(most)]
            with wrong.row(split.place(number)):
                for index, option in enumerate(options):
                    new = self._option(prompt, before, option)
                    encoded[index] = [*before, *new][-self._config.data.max_length :]
                    starts.append(max(len(encoded[index]) - len(new), 1))
            for index, tokens in enumerate(encoded):
                found[f"option_{index}"].append(tokens)
            found["starts"].append(starts)
        wrong.check()
        return found

    def _option(self, prompt: str, before: list[int], option: str) -> list[int]:
        new = self._following(prompt, before, _BEFORE_OPTION + option)
        if not new:
            raise Wrong(f"the tokenizer makes no token of the option {shown(option)}")
        return new

    def asked(self, text: str) -> list[int]:
        if self.chat:
            messages = self._with_system([{"role": "user", "content": text}])
            text = self._render(messages, reply=True)
        tokens = self._plain(text)
        if not tokens:
            raise Wrong(f"the tokenizer makes no token of the prompt {shown(text)}")
        return tokens[-self._config.data.max_length :]

    def turn_end(self, messages: Messages) -> int | None:
        """Return the first special token after what the assistant says last."""
        said = [*messages[:-1], {"role": "assistant", "content": _ANSWER}]
        rest = self._render(self._with_system(said)).rpartition(_ANSWER)[2]
        added = self._tokenizer.added_tokens_decoder.items()
        special = {*self._tokenizer.all_special_ids, *(i for i, token in added if token.special)}
        return next((token for token in self._plain(rest) if token in special), None)

    def _with_system(self, messages: Messages) -> Messages:
        system = self._config.language.system
        if system is None or messages[0]["role"] == "system":
            return messages
        return [{"role": "system", "content": system}, *messages]

    def _conversation(self, text: str) -> _Example:
        """Cut what the template makes of a conversation at the assistant's turns."""
        messages, language = self._with_system(messages_of(text)), self._config.language
        whole, at = self._render(messages), 0
        parts: list[tuple[str, bool]] = []
        turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        for turn in turns if language.train_on == "assistant" else turns[-1:]:
            asked = self._render(messages[:turn], reply=True)
            told = self._render(messages[: turn + 1])
            if not (told.startswith(asked) and whole.startswith(told)):
                message = (
                    "the chat template does not render a conversation turn by turn (an earlier "
                    "turn changes when later ones follow), so its tokens cannot be told apart"
                )
                raise Wrong(message, self._chat_key)
            parts.append((whole[at : len(asked)], language.train_on == "all"))
            parts.append((whole[len(asked) : len(told)], True))
            at = len(told)
        # Calls of tools are text only as the template writes them.
        calls = messages[-1].get("tool_calls")
        answer = self._visible(parts[-1][0]) if calls else messages[-1]["content"]
        return _Example(parts, (answer,), ends=True)

    def _visible(self, text: str) -> str:
        """Return a text as a model that generates it is heard: without special tokens."""
        visible: str = self._tokenizer.decode(self._ids(text), skip_special_tokens=True)
        return visible

    def _render(self, messages: Messages, reply: bool = False) -> str:
        try:
            text: str = self._tokenizer.apply_chat_template(
                messages,
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=reply,
            )
        except Exception as error:  # whatever a template's own expressions raise
            message = f"the chat template cannot render a conversation: {first_line(error)}"
            raise Wrong(message, self._chat_key) from None
        return text

    @property
    def _asks(self) -> str:
        return "data.text" if self._config.data.template is None else "data.template"

    @property
    def _chat_key(self) -> str:
        return "language.chat_template" if self._config.language.chat_template else _MODEL

    def _nothing(self, what: str, text: str, key: str) -> Wrong:
        """Return what is wrong with a stretch without tokens, which no model can read."""
        if self.chat and not text:
            return Wrong(f"the chat template makes nothing of the {what}", self._chat_key)
        key = "data.messages" if self.chat else key
        return Wrong(f"the tokenizer makes no token of the {what} {shown(text)}", key)

    def _tokens(self, example: _Example) -> tuple[list[int], list[int], list[int]]:
        """Return the tokens, the targets, and the tokens before the last stretch."""
        tokens: list[int] = []
        targets: list[int] = []
        prompt: list[int] = []
        before = ""
        for text, learnt in example.parts:
            prompt = [*tokens]
            new = self._following(before, tokens, text)
            tokens += new
            targets += new if learnt else [IGNORED] * len(new)
            before += text
        if not prompt:
            raise self._nothing("prompt", before.removesuffix(text), self._asks)
        if not new:
            raise self._nothing("answer", text, "data.label")
        end = self._tokenizer.eos_token_id
        if not example.ends and tokens[-1] != end:
            tokens, targets = [*tokens, end], [*targets, end]
        return tokens, targets, prompt

    def _following(self, before: str, tokens: list[int], text: str) -> list[int]:
        """Return the tokens of a stretch that follows others.

        As in the whole text, unless a token would reach over the seam: what is generated begins
        after the tokens of the prompt alone.
        """
        whole = self._plain(before + text)
        if whole[: len(tokens)] == tokens:
            return whole[len(tokens) :]
        return self._ids(text)

    def _plain(self, text: str) -> list[int]:
        # A template writes the special tokens itself; some tokenizers end every text.
        tokens = self._ids(text, special=not self.chat)
        ended = not self.chat and tokens and tokens[-1] == self._tokenizer.eos_token_id
        return tokens[:-1] if ended and not text.endswith(self._tokenizer.eos_token) else tokens

    def _ids(self, text: str, special: bool = False) -> list[int]:
        try:
            ids: list[int] = self._tokenizer(text, add_special_tokens=special)["input_ids"]
        except Exception as error:  # whatever the tokenizer's own library raises
            raise not_encoded(text, error) from None
        return ids


_MODEL = "model.name_or_path"


def chat_template(tokenizer: Any, config: RunConfig) -> str | None:
    """Return the chat template of a run on conversations where it is not the tokenizer's own.

    It is another one where the run names a file, or where the tokenizer's asks for today's date:
    a fixed day takes its place, or prompts would change from day to day.

    Raises:
        ConfigError: The file cannot be read or is not a Jinja template, there is no template at
            all, or its date cannot be fixed.
    """
    if config.data.messages is None:
        return None
    named = config.language.chat_template
    if named is not None:
        return _dated(_read_template(named), "language.chat_template")
    if tokenizer.chat_template is None:
        message = (
            f"the tokenizer of {config.model.name_or_path} has no chat template; name a file "
            "with one, or use prompts and completions in place of data.messages"
        )
        raise ConfigError([Problem("language.chat_template", message)])
    own = tokenizer.chat_template
    if not isinstance(own, str) or _NOW not in own:
        return None
    return _dated(own, _MODEL)


# What gives a chat template today's date, in transformers.
_NOW = "strftime_now"

# The one that Llama 3's chat templates take where they cannot ask for today's.
_DAY = datetime.date(2024, 7, 26)


def _dated(template: str, key: str) -> str:
    """Return a chat template with a fixed day in place of today.

    Its text is changed because transformers lets no function of ours reach a template.
    """
    call = rf"{_NOW}\(\s*(?P<quote>[\"'])(?P<format>.*?)(?P=quote)\s*\)"
    dated = re.sub(call, lambda match: json.dumps(_DAY.strftime(match["format"])), template)
    if re.search(rf"{_NOW}\s*\(", dated):
        message = (
            f"the chat template computes the format of today's date ({_NOW}), so the day cannot "
            "be fixed, and prompts would change from day to day; write the format as text, or a "
            "date"
        )
        raise ConfigError([Problem(key, message)])
    return dated


def _read_template(named: str) -> str:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    try:
        text = Path(named).expanduser().read_text(encoding="utf-8")
        # As transformers has it, whose `{% generation %}` marks what the assistant says.
        tree = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"]).parse(
            text.replace("{% generation %}", "").replace("{% endgeneration %}", "")
        )
    except (OSError, UnicodeDecodeError) as error:
        message = f"{named} cannot be read: {first_line(error)}"
        raise ConfigError([Problem("language.chat_template", message)]) from None
    except (TemplateError, *NOT_COMPILED) as error:
        place = f"line {getattr(error, 'lineno', None) or 1} of {named}"
        message = f"{place} is not Jinja: {first_line(error)}"
        raise ConfigError([Problem("language.chat_template", message)]) from None
    if reach := forbidden(tree):
        raise ConfigError([Problem("language.chat_template", f"{named}: {reach}")])
    return text
