from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lora2_search.config.run import RunConfig, with_settings
from lora2_search.config.schema import ModelConfig
from lora2_search.config.space.schema import validate_space
from lora2_search.config.yaml import Source
from lora2_search.errors import ConfigError, UserError
from lora2_search.experiments.preflight import check_inputs, check_model
from tests.support.language import settings


def config(model: Path, data: Path, **more: Any) -> RunConfig:
    settings = {
        "task": "custom",
        "data.path": str(data),
        "data.text": ["review"],
        "data.label": "verdict",
        "model.name_or_path": str(model),
        **more,
    }
    return with_settings(RunConfig(task="rte"), settings)


def test_what_is_there_passes(tiny_bert: Path, reviews_csv: Path, glue_folder: Path) -> None:
    check_inputs(config(tiny_bert, reviews_csv))
    glue = {"data.path": str(glue_folder), "model.name_or_path": str(tiny_bert)}
    check_inputs(with_settings(RunConfig(task="rte"), glue))


def test_model_and_data_are_reported_together(reviews_csv: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check_inputs(config(Path("/absent"), reviews_csv, **{"data.label": "verdct"}))
    keys = [problem.key for problem in caught.value.problems]
    assert keys == ["model.name_or_path", "data.label"]


def test_an_unknown_hub_model_and_wrong_columns_are_reported_together(reviews_csv: Path) -> None:
    wrong = {"data.text": ["reveiw"], "data.label": "verdct"}
    with pytest.raises(ConfigError) as caught:
        check_inputs(config(Path("some/model"), reviews_csv, **wrong))
    keys = [problem.key for problem in caught.value.problems]
    assert keys == ["model.name_or_path", "data.text.0", "data.label"]


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("/absent/model", ConfigError, "no folder /absent/model"),
        ("./absent", ConfigError, "no folder ./absent"),
        ("a/b/c", ConfigError, "no folder a/b/c"),
        ("some/model", UserError, "cannot get some/model from the hub"),
        ("not a name", UserError, "cannot get not a name from the hub"),
    ],
)
def test_a_model_that_cannot_be_had_is_named(name: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        check_model(ModelConfig(name_or_path=name))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no config\.json"):
        check_model(ModelConfig(name_or_path=str(tmp_path)))


def test_packaged_assets_are_used_where_they_are(own_home: Path) -> None:
    folder = own_home / "assets" / "minilm"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    check_model(ModelConfig(name_or_path="minilm"))


def test_the_check_leaves_torch_and_ray_alone(tiny_bert: Path, reviews_csv: Path) -> None:
    settings = config(tiny_bert, reviews_csv).model_dump_json()
    code = (
        "import sys\n"
        "from lora2_search.config.run import RunConfig\n"
        "from lora2_search.experiments.preflight import check_inputs\n"
        f"check_inputs(RunConfig.model_validate_json({settings!r}))\n"
        "print([name for name in ('torch', 'ray', 'mlflow') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_budget_schedule_longer_than_the_run_is_told_before_it(
    tiny_bert: Path, reviews_csv: Path
) -> None:
    long = {"adapter.t_init": 20, "adapter.t_final": 30, "training.epochs": 1.0}
    with pytest.raises(ConfigError, match=r"t_init=20, t_final=30, total steps=7") as caught:
        check_inputs(config(tiny_bert, reviews_csv, **long))
    assert [problem.key for problem in caught.value.problems] == ["adapter.t_final"]
    check_inputs(config(tiny_bert, reviews_csv, method="lora", **long))
    with pytest.raises(ConfigError, match="total steps=40"):
        config(tiny_bert, reviews_csv, **{**long, "training.steps": 40})


def test_a_model_type_without_default_targets_asks_for_them(
    tiny_bert: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_bert, tmp_path, dirs_exist_ok=True)
    (tmp_path / "config.json").write_text('{"model_type": "mpnet"}')
    with pytest.raises(ConfigError, match="'mpnet' has no defaults; bert, ") as caught:
        check_inputs(config(tmp_path, reviews_csv))
    assert [problem.key for problem in caught.value.problems] == ["adapter.target_modules"]
    check_inputs(config(tmp_path, reviews_csv, **{"adapter.target_modules": "all-linear"}))
    check_inputs(config(tmp_path, reviews_csv, method="head-only"))


def test_rows_that_are_left_out_are_counted_aloud(tiny_bert: Path, tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text("review,verdict\n" + "good,1\nbad,0\n,1\n" * 20)
    told: list[str] = []
    check_inputs(config(tiny_bert, path), told.append)
    assert told == ["20 rows lack text or label and are left out"]


@pytest.mark.parametrize(
    ("change", "judged_by", "wrong"),
    [
        ({}, {"objective.metric": "pearson"}, "'pearson' is not measured .* read as classes"),
        ({"data.label": "stars"}, {"metric": "f1"}, "'f1' is not measured .* read as numbers"),
        ({}, {"objective.metric": "f1"}, None),
        ({"data.label": "stars"}, {"objective.metric": "spearman"}, None),
        ({}, {"objective.metric": None}, None),
    ],
)
def test_a_metric_that_does_not_fit_the_labels_of_a_file_is_told_before_any_run(
    change: dict[str, Any],
    judged_by: dict[str, str | None],
    wrong: str | None,
    tiny_bert: Path,
    reviews_csv: Path,
) -> None:
    chosen = config(tiny_bert, reviews_csv, **change)
    if wrong is None:
        check_inputs(chosen, judged_by=judged_by)
        return
    with pytest.raises(ConfigError, match=wrong) as caught:
        check_inputs(chosen, judged_by=judged_by)
    assert [problem.key for problem in caught.value.problems] == list(judged_by)


def test_what_only_a_variant_has_wrong_is_told_under_its_key(
    tiny_bert: Path, reviews_csv: Path
) -> None:
    base = config(tiny_bert, reviews_csv, **{"training.epochs": 1.0})
    variants = {
        "arms.same": base,
        "arms.late": with_settings(base, {"adapter.t_init": 20, "adapter.t_final": 30}),
        "arms.deep": with_settings(base, {"model.layers": 99}),
        "arms.lora": with_settings(base, {"method": "lora", "adapter.t_init": 99}),
    }
    with pytest.raises(ConfigError) as caught:
        check_inputs(base, variants=list(variants.items()))
    told = {problem.key: problem.message for problem in caught.value.problems}
    assert list(told) == ["arms.late.adapter.t_final", "arms.deep.model.layers"]
    assert "must be at most 2, the layers of" in told["arms.deep.model.layers"]


def test_the_mask_that_all_variants_share_is_shown_once(
    tiny_llama: Path, completions: Path
) -> None:
    config = settings(tiny_llama, completions)
    said: list[str] = []
    variants = [
        (f"arms.{method}", with_settings(config, {"method": method})) for method in ("lora", "full")
    ]
    check_inputs(config, said.append, {"metric": None}, variants)
    assert len(said) == len(set(said))
    assert sum("tokens that are learnt" in line for line in said) == 1


def test_the_language_settings_of_a_variant_are_checked(
    tiny_llama: Path, completions: Path
) -> None:
    base = settings(tiny_llama, completions, method="lora")
    variants = {
        "arms.same": with_settings(base, {"method": "full"}),
        "arms.long": with_settings(base, {"language.max_new_tokens": 2000}),
        "arms.texts": with_settings(base, {"language.forgetting": "/nope"}),
    }
    with pytest.raises(ConfigError) as caught:
        check_inputs(base, variants=list(variants.items()))
    told = {problem.key: problem.message for problem in caught.value.problems}
    assert list(told) == ["arms.long.data.max_length", "arms.texts.language.forgetting"]
    assert "has 64 positions, but an answer takes" in told["arms.long.data.max_length"]
    space = {
        **base.model_dump(exclude_defaults=True),
        "name": "mine",
        "search": {"language.max_new_tokens": {"type": "int", "low": 3, "high": 2000}},
        "trials": 2,
    }
    checked = validate_space(Source(space))
    with pytest.raises(ConfigError, match=r"search.data.max_length: .* has 64 positions"):
        check_inputs(checked.run_config(), variants=checked.other_models())


def test_a_mistake_that_all_share_is_told_once(tiny_bert: Path, reviews_csv: Path) -> None:
    base = config(tiny_bert, reviews_csv, **{"model.layers": 3})
    narrow = with_settings(base, {"adapter.gamma": 0.0})
    with pytest.raises(ConfigError) as caught:
        check_inputs(base, variants=[("arms.narrow", narrow)])
    assert [problem.key for problem in caught.value.problems] == ["model.layers"]


def test_targets_that_no_module_has_are_told_with_the_nearest(
    tiny_bert: Path, reviews_csv: Path
) -> None:
    base = config(tiny_bert, reviews_csv)
    check_inputs(with_settings(base, {"adapter.target_modules": ["query"]}))
    odd = {"adapter.target_modules": ["querry"]}
    with pytest.raises(ConfigError, match="adapter.target_modules: must name a module"):
        with_settings(base, {"adapter.target_modules": []})
    check_inputs(with_settings(base, {**odd, "model.trust_remote_code": True}))
    variants = [
        ("arms.odd", with_settings(base, odd)),
        ("arms.head", with_settings(base, {**odd, "method": "head-only"})),
    ]
    with pytest.raises(ConfigError) as caught:
        check_inputs(base, variants=variants)
    (problem,) = caught.value.problems
    assert problem.key == "arms.odd.adapter.target_modules"
    assert "The nearest linear layers are query." in problem.message


def write_splits(folder: Path, train: list[object], test: list[object]) -> dict[str, Any]:
    """Write two files, and return the settings that read them."""
    for name, labels in (("train", train), ("test", test)):
        rows = "".join(f"{name} text {i},{label}\n" for i, label in enumerate(labels))
        (folder / f"{name}.csv").write_text("review,verdict\n" + rows)
    return {"data.path": str(folder / "train.csv"), "data.test_path": str(folder / "test.csv")}


@pytest.mark.parametrize(
    ("train", "test", "more", "metric", "judged_on", "words"),
    [
        (
            ["neg"] * 200 + ["pos"],
            ["neg", "pos"],
            {"data.validation_size": 40},
            "roc_auc",
            ["validation"],
            "validation has 40 examples, all of class 'neg'; roc_auc needs both classes: choose "
            "another metric or a larger data.validation_size",
        ),
        (
            ["neg"] * 200 + ["pos"],
            ["neg", "pos"],
            {"data.validation_size": 40},
            "f1",
            ["validation", "test"],
            "validation has 40 examples, all of class 'neg'; f1 needs examples of 'pos' "
            "(data.positive): choose another metric or a larger data.validation_size",
        ),
        (
            ["a", "b", "c"] * 30,
            ["a", "b"],
            {"data.validation_size": 0.5},
            "roc_auc",
            ["validation", "test"],
            "test has 2 examples, none of class 'c'; roc_auc needs every class: choose another "
            "metric or another data.test_path",
        ),
        (
            [0.5, 1.5, 2.5] * 30,
            [3.5],
            {"protocol": "paper"},
            "spearman",
            ["validation", "test"],
            "validation has 1 example, all labelled 3.5; spearman needs labels that differ: "
            "choose another metric or another data.test_path",
        ),
    ],
)
def test_a_metric_that_is_undefined_on_a_split_that_it_judges_is_refused(
    train: list[object],
    test: list[object],
    more: dict[str, Any],
    metric: str,
    judged_on: list[str],
    words: str,
    tiny_bert: Path,
    tmp_path: Path,
) -> None:
    chosen = config(tiny_bert, tmp_path, **{**write_splits(tmp_path, train, test), **more})
    with pytest.raises(ConfigError) as caught:
        check_inputs(chosen, judged_by={"objective.metric": metric}, judged_on=judged_on)
    told = [(problem.key, problem.message) for problem in caught.value.problems]
    assert told == [("objective.metric", words)]
    if not isinstance(train[0], float):
        check_inputs(chosen, judged_by={"objective.metric": "accuracy"}, judged_on=judged_on)


def test_a_run_whose_own_metric_is_undefined_is_refused_by_what_would_help(
    tiny_bert: Path, tmp_path: Path
) -> None:
    labels = {**write_splits(tmp_path, [0.5, 1.5, 2.5] * 30, [3.5]), "data.validation_size": 1}
    with pytest.raises(ConfigError, match="pearson needs labels that differ: choose a") as caught:
        check_inputs(config(tiny_bert, tmp_path, **labels))
    assert [problem.key for problem in caught.value.problems] == ["data.validation_size"]


def test_a_metric_that_is_undefined_where_nothing_is_judged_by_it_is_said(
    tiny_bert: Path, tmp_path: Path
) -> None:
    labels = write_splits(tmp_path, ["neg", "pos"] * 50, ["pos", "pos"])
    told = check_inputs(
        config(tiny_bert, tmp_path, **labels), judged_by={"objective.metric": "roc_auc"}
    )
    assert "test has 2 examples, all of class 'pos': roc_auc has no score there." in told
