"""Jobs: trainings that do not depend on each other, side by side, each kept in the store."""

from __future__ import annotations

import math
import multiprocessing
import multiprocessing.forkserver
import os
import pickle
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import pandas as pd
from torch import Tensor, nn

from engine.checkpoints import Checkpoints
from engine.fabric import make_fabric
from engine.parameters import Parameters
from engine.processes import Ranks
from engine.progress import progress, silence
from engine.seeding import seed_everything
from engine.store import Store

Fitted = tuple[dict[str, Tensor], pd.DataFrame]

# Workers are forked from a server that has imported all that they need, and has never run a thread:
# forked from the notebook they would inherit the locks of torch's threads.
_WORKERS = multiprocessing.get_context("forkserver")


def prepare_workers(*modules: str) -> None:
    """Start the server of the workers, which imports ``modules``, beside whatever comes next.

    Jobs bring their own modules; only who wants the server to be ready before calls this.
    """
    _WORKERS.set_forkserver_preload([__name__, *modules])
    multiprocessing.forkserver.ensure_running()


@dataclass(frozen=True)
class Job:
    """One training: where it is kept, by what, and how it is done.

    ``code`` names the modules that its key depends on; ``train`` takes ``checkpoints`` and can be
    pickled. The processes of ``torchrun`` do it together.
    """

    stage: str
    code: tuple[str, ...]
    ingredients: dict[str, Any]
    train: Callable[..., tuple[nn.Module, pd.DataFrame]]

    def is_stored(self, store: Store) -> bool:
        """Whether weights and history are there; a damaged file counts, and is made again."""
        return all(
            store.path(self.stage, self.ingredients, self.code, suffix).is_file()
            for suffix in (".safetensors", ".csv")
        )

    def checkpoints(self, store: Store, seconds: float) -> Checkpoints:
        """Where its states lie while it is under way."""
        place = store.path(self.stage, self.ingredients, self.code, "")
        return Checkpoints(place.with_name(f"{place.name}.unfinished"), seconds)

    def stored(self, store: Store, seconds: float) -> Fitted:
        """Weights and history; the training runs only if either is not in the store.

        ``attrs["seconds"]`` of the history is the processor time that the training took, over all
        threads; None where it was broken off and went on.

        One that was broken off goes on from its last checkpoint; ``seconds`` lie at least between
        two of them.
        """
        checkpoints = self.checkpoints(store, seconds)
        if self.is_stored(store):
            return self._kept(store, checkpoints)
        with checkpoints.alone():
            fitted = self._kept(store, checkpoints)
            checkpoints.remove()
        return fitted

    def _kept(self, store: Store, checkpoints: Checkpoints) -> Fitted:
        done: list[tuple[nn.Module, pd.DataFrame]] = []

        def once() -> tuple[nn.Module, pd.DataFrame]:
            if not done:
                resumed, start = bool(checkpoints.paths()), time.process_time()
                network, history = self.train(checkpoints=checkpoints)
                # Nobody knows how long the part took that another process did.
                history.attrs["seconds"] = None if resumed else time.process_time() - start
                done.append((network, history))
            return done[0]

        weights = store.weights(
            self.stage, self.ingredients, lambda: once()[0].state_dict(), self.code
        )
        history = store.table(self.stage, self.ingredients, lambda: once()[1], self.code)
        return weights, history


def run_jobs(store: Store, trainings: Sequence[Job], params: Parameters) -> list[Fitted]:
    """Weights and history of every training, in their order.

    On a CPU as many run at once as ``params.threads`` allows, since small networks leave most of a
    second thread idle, and those left over after full rounds with all threads; on a GPU one after
    the other. The number of threads of each depends on how many are asked for and not on how many
    are missing, so that a run that goes on where it was broken off ends with the same weights.
    """
    fabric = make_fabric(params)
    if fabric.world_size > 1:
        _among_processes(store, trainings, Ranks(fabric), params)
        return [training.stored(store, params.checkpoint_seconds) for training in trainings]
    cpu = fabric.device.type == "cpu"
    workers = min(params.threads, len(trainings)) if cpu else 1
    if workers > 1:
        together = trainings[: len(trainings) - len(trainings) % workers]
        # One of those that are the same is enough.
        missing = {
            training.checkpoints(store, 0).folder: training
            for training in together
            if not training.is_stored(store)
        }
        _side_by_side(store, list(missing.values()), workers, params)
    return [training.stored(store, params.checkpoint_seconds) for training in trainings]


def fitted_networks(
    store: Store, trainings: Mapping[str, tuple[Job, Callable[[], nn.Module]]], params: Parameters
) -> dict[str, tuple[nn.Module, pd.DataFrame]]:
    """Each training's network, on the device and in evaluation mode, and its history, by name.

    ``trainings`` has beside every job what builds the network that its weights are of.
    """
    device = make_fabric(params).device
    fitted = run_jobs(store, [job for job, _ in trainings.values()], params)
    networks = {}
    for (name, (_, build)), (weights, history) in zip(trainings.items(), fitted, strict=True):
        network = build()
        network.load_state_dict(weights)
        networks[name] = network.to(device).eval(), history
    return networks


def _among_processes(
    store: Store, trainings: Sequence[Job], ranks: Ranks, params: Parameters
) -> None:
    """Bring all trainings into the store; only the first process writes."""
    missing = [training for training in trainings if not training.is_stored(store)]
    ranks.wait()  # until all have looked
    for training in missing:
        if ranks.rank == 0:
            training.stored(store, params.checkpoint_seconds)
        else:
            training.train(checkpoints=training.checkpoints(store, math.inf))
        ranks.wait()


def _side_by_side(store: Store, trainings: Sequence[Job], workers: int, params: Parameters) -> None:
    if not trainings:
        return
    prepare_workers(*sorted({module for training in trainings for module in training.code}))
    setting = (params.seed, params.threads // workers, params.refuse_nondeterministic)
    with ProcessPoolExecutor(workers, _WORKERS, _settle, setting) as pool:
        # As bytes: the pool itself would move tensors to shared memory, away from under the arrays
        # that the key is made of.
        seconds = params.checkpoint_seconds
        running = [
            pool.submit(_work, store, pickle.dumps(training), seconds) for training in trainings
        ]
        try:
            for done in progress(as_completed(running), len(running), label="trainings"):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _settle(seed: int, threads: int, refuse: bool) -> None:
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    seed_everything(seed, threads, refuse)
    # What a worker writes would end in the notebook.
    silence()


def _end_with_parent(parent: int) -> None:
    """A killed notebook must not leave trainings behind that nobody waits for."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _work(store: Store, training: bytes, seconds: float) -> None:
    pickle.loads(training).stored(store, seconds)
