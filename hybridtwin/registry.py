"""A twin to and from a plain folder, MLflow's registry, or the box that it comes in.

A folder holds `twin.json` (its configuration), `twin.safetensors` (weights and person) and, where
its forecasts are corrected, `statistics.json.gz`.
"""

import functools
from dataclasses import fields, replace
from pathlib import Path
from typing import Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hybridtwin import tensor_bytes
from hybridtwin.errors import ModelError
from hybridtwin.hybrid import HybridModel, People
from hybridtwin.output_statistics import load_statistics
from hybridtwin.twin import Twin
from hybridtwin.twin_config import TwinConfig

IN_THE_BOX: Final = Path(__file__).parent / "data" / "population"
MODEL_NAME: Final = "hybridtwin-population"
CHAMPION: Final = f"models:/{MODEL_NAME}@champion"
TRACKING_URI: Final = "sqlite:///mlruns/mlflow.db"
_CONFIG, _WEIGHTS, _STATISTICS = "twin.json", "twin.safetensors", "statistics.json.gz"
_PERSON = tuple(field.name for field in fields(People))


def population_twin(config: TwinConfig, model: HybridModel) -> Twin:
    """The twin of nobody in particular."""
    model.eval()
    with torch.inference_mode():
        nobody = model.population(1)
    person = People(*(getattr(nobody, name).clone() for name in _PERSON))
    return Twin(config, model, person)


def untrained_twin(seed: int = 0) -> Twin:
    """A population twin with random weights: physiology's priors and no experience."""
    torch.manual_seed(seed)
    config = TwinConfig()
    return population_twin(config, HybridModel(config.shape))


def save_twin(twin: Twin, folder: Path) -> Path:
    """Write a twin to a folder; returns it. A personal twin is kilobytes: it names its base."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).write_text(twin.config.model_dump_json(indent=2) + "\n")
    tensors = {f"person.{name}": getattr(twin.person, name) for name in _PERSON}
    if not twin.config.has_base:
        tensors |= {f"model.{name}": value for name, value in twin.model.state_dict().items()}
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / _WEIGHTS)
    statistics = folder / _STATISTICS
    if twin.statistics is not None and not twin.config.has_base:
        twin.statistics.save(statistics)
    else:
        statistics.unlink(missing_ok=True)
    return folder


def personal_to_bytes(twin: Twin) -> bytes:
    """What is one person's own of a twin: kilobytes, to be kept beside their record."""
    tensors = {name: getattr(twin.person, name) for name in _PERSON}
    return tensor_bytes.to_bytes(twin.config.model_dump(mode="json"), tensors)


def personal_from_bytes(kept: bytes, base: Twin) -> Twin | None:
    """A personal twin again; None if it was fitted on another version of the population twin.

    Args:
        kept: By `personal_to_bytes`.
        base: The population twin.
    """
    head, tensors = tensor_bytes.from_bytes(kept)
    config = TwinConfig.model_validate(head)
    if config.version != base.config.version:
        return None
    return replace(base, config=config, person=People(*(tensors[name] for name in _PERSON)))


def load_twin(source: str | Path | None = None) -> Twin:
    """Load a twin from a folder, from MLflow (`models:/name@alias`), or, if None, from the box.

    Raises:
        ModelError: It is not there, or is not a twin.
    """
    return _load_folder(twin_folder(source))


def twin_folder(source: str | Path | None = None) -> Path:
    """Where the files of a twin lie; see `load_twin`.

    Raises:
        ModelError: MLflow does not know it.
    """
    if source is None:
        return IN_THE_BOX
    if isinstance(source, str) and source.startswith("models:/"):
        return _from_mlflow(source)
    return Path(source)


def _from_mlflow(uri: str) -> Path:
    import mlflow  # slow to import, and needed only here

    try:
        mlflow.set_tracking_uri(TRACKING_URI)
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri))
    except mlflow.exceptions.MlflowException as error:
        raise ModelError.of(
            uri,
            f"MLflow has no such model ({error})",
            "Train one with: hybridtwin train --config configs/population.yaml",
        ) from error
    return next((path.parent for path in folder.rglob(_CONFIG)), folder)


def _load_folder(folder: Path) -> Twin:
    try:
        config = TwinConfig.model_validate_json((folder / _CONFIG).read_text())
        tensors = load_file(folder / _WEIGHTS)
        person = People(*(tensors[f"person.{name}"] for name in _PERSON))
        if config.has_base:
            base = _base_of(config, folder)
            return Twin(config, base.model, person, statistics=base.statistics)
        model = HybridModel(config.shape)
        prefix = "model."
        model.load_state_dict(
            {key[len(prefix) :]: t for key, t in tensors.items() if key.startswith(prefix)}
        )
        there = (folder / _STATISTICS).is_file()
        statistics = load_statistics(folder / _STATISTICS) if there else None
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError.of(
            str(folder), f"no twin can be read here ({error})", "Name a twin's folder."
        ) from error
    model.eval()
    return Twin(config, model, person, statistics=statistics)


@functools.lru_cache(maxsize=4)
def _base(source: str | None) -> Twin:
    return load_twin(source)


def _base_of(config: TwinConfig, folder: Path) -> Twin:
    """The population twin that a personal twin was fitted on."""
    base = _base(config.base)
    if base.config.version != config.version:
        raise ModelError.of(
            str(folder),
            f"fitted on version {config.version} of the population twin, "
            f"but {config.base or 'the box'} holds {base.config.version}",
            "Fit it again with: hybridtwin personalise",
        )
    return base
