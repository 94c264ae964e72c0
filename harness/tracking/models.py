"""The weights of a run as a model of MLflow, in its registry."""

from __future__ import annotations

import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import TrackingError
from harness.records.store import Store
from harness.tracking import content
from harness.tracking.artifacts import follow_move
from harness.tracking.connection import connect, reason
from harness.trained.loading import load
from harness.utils.redaction import redacted

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from torch import nn

NEEDED = ("symbench", "torch", "mlflow")


def register(store: Store, digest: str, name: str) -> str:
    """Logs the kept weights of a run as a model of MLflow and registers it as a new version.

    ``mlflow.pytorch.load_model`` gives the module of :func:`symbench.load`; symbench must be installed. MLflow's format
    is a pickle, which runs code when it is read, so load only models whose origin you trust.

    Args:
        store: The store of the run.
        digest: The digest of the run, or its first digits.
        name: The name in the registry.

    Returns:
        The address of the version, such as ``models:/nbody/1``.

    Raises:
        UnknownName: The store has no such run.
        StoreError: The run did not keep its weights.
        TrackingError: The run is not in MLflow, or MLflow cannot be used.
    """
    trained = load(digest, store.address)
    uri = store.mlflow_uri
    try:
        follow_move(uri)
        client = connect(uri)
        run = _run(client, trained.record.digest)
        if run is not None:
            model_id = _log(client, run, trained.module)
            return _version(client, name, model_id, run)
    except Exception as error:  # MLflow and what is below it raise many kinds
        raise TrackingError(f"MLflow at {redacted(uri)} did not take the model ({reason(error)}).") from error
    raise TrackingError(f"Run {trained.record.digest} is not in MLflow: 'symbench sync' logs it.")


def _run(client: MlflowClient, digest: str) -> Run | None:
    """The newest finished run of a digest."""
    prefix = content.experiment_name("")
    suites = [one.experiment_id for one in client.search_experiments() if one.name.startswith(prefix)]
    condition = f"attributes.status = 'FINISHED' and tags.`{content.DIGEST}` = '{digest}'"
    found = client.search_runs(suites or ["0"], condition, max_results=1, order_by=["attributes.start_time DESC"])
    return found[0] if found else None


def _log(client: MlflowClient, run: Run, module: nn.Module) -> str:
    """Logs the module as a model of the run. Returns the id of the model."""
    from mlflow import pytorch
    from mlflow.models import Model

    logged = client.create_logged_model(run.info.experiment_id, name="model", source_run_id=run.info.run_id)
    description = Model(run_id=run.info.run_id, model_id=logged.model_id)
    needed = [f"{package}=={version(package)}" for package in NEEDED]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        pytorch.save_model(
            module.cpu(),
            path,
            mlflow_model=description,
            pip_requirements=needed,
            metadata={"digest": run.data.tags[content.DIGEST]},
            serialization_format="pickle",
        )
        client.log_model_artifacts(logged.model_id, str(path))
    client.finalize_logged_model(logged.model_id, "READY")
    return str(logged.model_id)


def _version(client: MlflowClient, name: str, model_id: str, run: Run) -> str:
    """Registers the model. Returns the address of the version."""
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    source = client.get_logged_model(model_id).artifact_location  # models:/ would be sought at MLflow's global address
    found = client.create_model_version(name, source, run_id=run.info.run_id, model_id=model_id)
    return f"models:/{name}/{found.version}"
