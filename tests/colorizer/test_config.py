from pathlib import Path

import pytest
from pydantic import ValidationError

from colorizer.config import PRESETS, FitConfig, load_config, preset_config, preset_defaults
from colorizer.fit import _parsed
from colorizer.training.run_folder import RunFolder
from pipelines.errors import ColorizerError, UsageError

PLACES = ["--data", "photos", "--run-dir", "runs/one"]


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run"


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("model", ["cnn", "unet", "dcgan", "lite"])
@pytest.mark.parametrize("training", ["supervised", "adversarial"])
def test_presets_hold_valid_values(name, model, training):
    values = preset_defaults(name, model, training).model_dump(exclude={"data", "run_dir"})
    config = FitConfig(data=Path("photos"), run_dir=Path("run"), **values)
    assert (config.preset, config.model, config.training) == (name, model, training)


@pytest.mark.parametrize(("model", "judge"), [("dcgan", "dcgan"), ("unet", "patch")])
def test_each_network_has_its_discriminator_and_learns_supervised_first(model, judge):
    words = [*PLACES, "--model", model]
    assert not _parsed(words).is_adversarial
    adversarial = _parsed([*words, "--training", "adversarial"])
    assert adversarial.is_adversarial and adversarial.discriminator == judge


def test_from_python_a_preset_is_what_the_flags_make_of_it():
    config = preset_config(
        "smoke",
        "dcgan",
        "adversarial",
        data="photos",
        run_dir="runs/one",
        epochs=3,
        adversarial={"alpha": 0.5},
    )
    flags = ["--preset", "smoke", "--model", "dcgan", "--training", "adversarial"]
    assert config == _parsed([*PLACES, *flags, "--epochs", "3", "--adversarial.alpha", "0.5"])
    assert config.adversarial.check_steps == 20


@pytest.mark.parametrize(
    ("changes", "named"),
    [({}, "data"), ({"data": "a", "epochs": 0}, "epochs"), ({"data": "a", "epoch": 1}, "epoch")],
)
def test_from_python_what_is_wrong_is_named(changes, named):
    with pytest.raises(ValidationError, match=named):
        preset_config("smoke", run_dir="runs/one", **changes)


def test_flags_override_the_preset():
    config = _parsed([*PLACES, "--preset", "smoke", "--epochs", "3"])
    assert (config.preset, config.epochs) == ("smoke", 3)
    assert config.image_size == PRESETS["smoke"]["image_size"]
    assert _parsed(PLACES).image_size == 256


@pytest.mark.parametrize(
    "flags",
    [
        ["--epochs", "0"],
        ["--loss", "ssim"],
        ["--precision", "float8"],
        ["--cnn.encoder-filters", "4", "4"],
        ["--batch-size", "15", "--devices", "2"],
        ["--accumulation", "2", "--devices", "2"],
        ["--training", "adversarial", "--adversarial.loss", "wasserstein"],
        ["--model", "dcgan", "--training", "adversarial", "--adversarial.r1", "1"],
        ["--model", "lite", "--training", "adversarial", "--lite.head", "classes"],
        ["--val-data", "photos"],
        ["--val-data", "photos/val"],
        ["--seed", "4294967296"],
        ["--no-such-flag"],
    ],
)
def test_wrong_usage_exits_with_2(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        _parsed([*PLACES, *flags])
    assert caught.value.code == 2
    words = capsys.readouterr().err.replace("_", "-")
    assert any(flag.lstrip("-") in words for flag in flags)


@pytest.mark.parametrize(
    ("data", "val_data", "apart"),
    [
        ("photos", "photos/val", False),
        ("photos/train", "photos/val", True),
        ("tfds:a,tfds:b", "tfds:a", True),
        ("tfds:a,tfds:b:test", "tfds:b:test", False),
        ("tfds:a*2", "tfds:a:train", False),
        ("tfds:a", "photos", True),
    ],
)
def test_training_and_validation_photos_are_apart(data, val_data, apart):
    given = {"data": Path(data), "val_data": Path(val_data), "run_dir": Path("run")}
    if apart:
        FitConfig(**given)
    else:
        with pytest.raises(ValidationError, match="must not"):
            FitConfig(**given)


def test_missing_places_exit_with_2(capsys):
    with pytest.raises(SystemExit) as caught:
        _parsed(["--epochs", "3"])
    assert caught.value.code == 2
    assert "--run-dir" in capsys.readouterr().err


def test_unknown_keys_are_refused():
    with pytest.raises(ValidationError, match="extra"):
        FitConfig(data=Path("a"), run_dir=Path("b"), epoch=3)


def test_a_run_taken_up_again_needs_its_folder_only(run_dir):
    cnn = {"encoder_filters": (1,) * 5}
    begun = FitConfig(data=Path("photos"), run_dir=run_dir, epochs=7, cnn=cnn)
    RunFolder(run_dir).begin(begun)
    resumed = _parsed(["--run-dir", str(run_dir), "--resume"])
    assert resumed == begun.model_copy(update={"resume": True})
    RunFolder(run_dir).begin(resumed)


def test_a_run_is_not_taken_up_with_other_settings(run_dir):
    begun = FitConfig(data=Path("photos"), run_dir=run_dir)
    RunFolder(run_dir).begin(begun)
    changed = begun.model_copy(update={"resume": True, "learning_rate": 0.5})
    with pytest.raises(UsageError, match="differs from the run"):
        RunFolder(run_dir).begin(changed)
    moved = begun.model_copy(update={"resume": True, "data": Path("elsewhere")})
    RunFolder(run_dir).begin(moved)
    longer = begun.model_copy(update={"resume": True, "max_minutes": 3.0, "cache": "none"})
    RunFolder(run_dir).begin(longer)


def test_what_a_kill_left_half_written_is_swept_away(run_dir):
    config = FitConfig(data=Path("photos"), run_dir=run_dir)
    RunFolder(run_dir).begin(config)
    half = run_dir / "cache" / ".train.partial"
    half.mkdir(parents=True)
    (half / "a.lab").touch()
    (run_dir / ".0123.partial.keras").touch()
    RunFolder(run_dir).begin(config)
    assert not half.exists() and not list(run_dir.glob(".*"))


def test_a_run_that_never_began_may_be_begun_again(run_dir):
    RunFolder(run_dir).begin(FitConfig(data=Path("fotos"), run_dir=run_dir))
    RunFolder(run_dir).begin(FitConfig(data=Path("photos"), run_dir=run_dir))
    assert load_config(run_dir / "config.json").data == Path("photos")


@pytest.mark.parametrize("kept", ["model.keras", "checkpoints/latest.npz"])
def test_a_folder_with_a_run_is_not_written_over(run_dir, kept):
    config = FitConfig(data=Path("photos"), run_dir=run_dir)
    RunFolder(run_dir).begin(config)
    (run_dir / kept).parent.mkdir(exist_ok=True)
    (run_dir / kept).touch()
    with pytest.raises(ColorizerError, match="holds a run already"):
        RunFolder(run_dir).begin(config)


def test_a_damaged_config_is_a_clear_error(run_dir):
    run_dir.mkdir()
    (run_dir / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(ColorizerError, match="damaged"):
        load_config(run_dir / "config.json")


def test_a_run_taken_up_again_loads_nothing_of_its_start(run_dir):
    config = FitConfig(
        data=Path("photos"), run_dir=run_dir, model="lite", init_from=(Path("gone"),)
    )
    resumed = config.without_start()
    assert not resumed.init_from and not resumed.transfer.imagenet
    assert resumed.network_arguments() == config.network_arguments()
