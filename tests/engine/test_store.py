"""The store: what changes a key, what is kept, what happens to a damaged file."""

import ast
import errno
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open

from engine.errors import InputError
from engine.keys import code_digest, digest, import_closure, syntax_tree
from engine.results import write_atomically
from engine.store import Store, read_tensors
from lib.studies.embryo import EmbryoParameters

CODE = ("engine.parameters",)


class Made:
    """A function that counts how often it was needed."""

    def __init__(self, result):
        self.result, self.times = result, 0

    def __call__(self):
        self.times += 1
        return self.result


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_weights_are_made_once_and_read_exactly(store):
    made = Made({"a.weight": torch.randn(3, 4), "count": torch.tensor(7)})
    first = store.weights("net", {"seed": 1}, made, CODE)
    again = store.weights("net", {"seed": 1}, made, CODE)
    assert made.times == 1
    for name, tensor in made.result.items():
        assert torch.equal(first[name], tensor)
        assert torch.equal(again[name], tensor)


def test_other_ingredients_are_made_anew(store):
    made = Made({"a": torch.zeros(1)})
    for ingredients in ({"seed": 1}, {"seed": 2}, {"seed": 1, "fold": 0}):
        store.weights("net", ingredients, made, CODE)
    store.weights("other", {"seed": 1}, made, CODE)
    assert made.times == 4


def test_views_and_shared_tensors_are_kept_whole(store):
    base = torch.arange(12.0).reshape(3, 4)
    kept = store.weights("net", {}, lambda: {"t": base.T, "row": base[1]}, CODE)
    assert torch.equal(kept["t"], base.T)
    assert torch.equal(store.weights("net", {}, Made({}), CODE)["row"], base[1])


def test_header_carries_the_ingredients(store):
    ingredients = {"params": EmbryoParameters(), "fold": 2}
    store.weights("net", ingredients, lambda: {"a": torch.zeros(1)}, CODE)
    _, head = read_tensors(store.path("net", ingredients, CODE))
    assert head["params"]["cycle_weight"] == EmbryoParameters().cycle_weight
    assert head["fold"] == 2


def test_image_stack_keeps_type_and_shape(store):
    stack = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    store.arrays("images", {}, lambda: stack, CODE)
    again = store.arrays("images", {}, Made(None), CODE)
    assert again.dtype == torch.uint8
    assert torch.equal(again, stack)


def test_table_keeps_every_digit(store):
    history = pd.DataFrame({"epoch": [0, 1], "loss": [1 / 3, 2e-17], "name": ["a", "b, c"]})
    first = store.table("history", {}, lambda: history, CODE)
    again = store.table("history", {}, Made(None), CODE)
    pd.testing.assert_frame_equal(first, history, check_exact=True, check_dtype=False)
    pd.testing.assert_frame_equal(again, first, check_exact=True)


def damage_cut(path):
    path.write_bytes(path.read_bytes()[:-5])


def damage_flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def damage_empty(path):
    path.write_bytes(b"")


def damage_pickle(path):
    path.write_bytes(pickle.dumps({"a": 1}))


@pytest.mark.parametrize("damage", [damage_cut, damage_flip, damage_empty, damage_pickle])
def test_damaged_file_is_announced_and_made_again(store, damage):
    made = Made({"a": torch.arange(4.0)})
    store.weights("net", {}, made, CODE)
    damage(store.path("net", {}, CODE))
    with pytest.warns(UserWarning, match="damaged"):
        assert torch.equal(store.weights("net", {}, made, CODE)["a"], torch.arange(4.0))
    store.weights("net", {}, made, CODE)
    assert made.times == 2


@pytest.mark.parametrize("damage", [damage_cut, damage_flip, damage_empty])
def test_damaged_table_is_announced_and_made_again(store, damage):
    made = Made(pd.DataFrame({"x": [1.5]}))
    store.table("history", {}, made, CODE)
    damage(store.path("history", {}, CODE, ".csv"))
    with pytest.warns(UserWarning, match="damaged"):
        assert store.table("history", {}, made, CODE)["x"].tolist() == [1.5]
    assert made.times == 2


def test_failed_training_leaves_nothing(store):
    def fail():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        store.weights("net", {}, fail, CODE)
    assert not list(store.folder.rglob("*.safetensors"))


def test_file_is_plain_safetensors(store):
    store.weights("net", {}, lambda: {"a": torch.ones(2)}, CODE)
    with safe_open(store.path("net", {}, CODE), framework="np") as stream:
        assert stream.get_tensor("a").tolist() == [1.0, 1.0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, min_size=2, max_size=5))
def test_key_does_not_depend_on_the_order_of_names(values):
    assert digest(values) == digest(dict(reversed(values.items())))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"x": 1}, {"x": 2}),
        ({"x": 1}, {"y": 1}),
        ({"x": 1}, {"x": "1"}),
        (np.zeros(4, np.float32), np.zeros(4, np.float64)),
        (np.zeros((2, 2)), np.zeros(4)),
        (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
        (EmbryoParameters(), EmbryoParameters(seed=1)),
    ],
)
def test_key_tells_different_content_apart(one, other):
    assert digest(one) != digest(other)


def test_key_refuses_what_has_no_stable_content():
    with pytest.raises(TypeError, match="object"):
        digest({"x": object()})


@pytest.fixture
def package(tmp_path):
    """A package ``lib`` in which a imports b, b imports c in a function, and d stands alone."""
    code = {
        "__init__": "",
        "a": "from lib import b\nfrom lib.sub.e import f\n",
        "b": "def g():\n    from lib.c import h\n",
        "c": "import json\n",
        "d": "x = 1\n",
        "sub/__init__": "",
        "sub/e": "f = 1\n",
        "sub/unused": "",
    }
    for name, text in code.items():
        path = tmp_path / "lib" / f"{name}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text)
    (tmp_path / "lib" / "sub" / "weights.bin").write_bytes(b"1")
    (tmp_path / "requirements.lock").write_text("torch==1\n")
    return tmp_path


def test_code_of_a_module_is_all_that_it_imports(package):
    names = {path.relative_to(package).as_posix() for path in import_closure(["lib.a"], package)}
    modules = {"__init__", "a", "b", "c", "sub/__init__", "sub/e"}
    assert names == {*(f"lib/{name}.py" for name in modules), "lib/sub/weights.bin"}


def test_package_stands_for_all_its_modules(package):
    names = {path.stem for path in import_closure(["lib.sub"], package)}
    assert names == {"__init__", "e", "unused", "weights"}


def test_unknown_module_is_an_error(package):
    with pytest.raises(ModuleNotFoundError, match=r"lib\.z"):
        import_closure(["lib.z"], package)


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("lib/a.py", True),
        ("lib/c.py", True),
        ("lib/sub/__init__.py", True),
        ("lib/sub/weights.bin", True),
        ("requirements.lock", True),
        ("lib/d.py", False),
        ("lib/sub/unused.py", False),
    ],
)
def test_code_hash_follows_imported_code_and_lock_only(package, changed, counts):
    before = code_digest(["lib.a"], package)
    with (package / changed).open("a") as stream:
        stream.write("\n")
    assert (code_digest(["lib.a"], package) != before) == counts


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_is_named_and_leaves_what_was_there(number, tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    write_atomically(path, b"earlier")

    def fails(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("engine.results.os.fsync", fails)
    with pytest.raises(InputError, match=rf"table\.csv: cannot be written \({os.strerror(number)}"):
        write_atomically(path, b"later")
    assert path.read_bytes() == b"earlier"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "results").write_text("no folder")
    with pytest.raises(InputError, match="cannot be written"):
        write_atomically(tmp_path / "results" / "table.csv", b"x")


def test_source_code_is_parsed_by_one_thread_at_a_time(monkeypatch):
    """Where two threads parse at once, Python before 3.11.8 and 3.12.2 may raise SystemError."""
    inside, parse = [], ast.parse

    def slow(*given, **more):
        inside.append(1)
        assert len(inside) == 1, "parsed in two threads at once"
        time.sleep(0.01)
        inside.pop()
        return parse(*given, **more)

    monkeypatch.setattr(ast, "parse", slow)
    with ThreadPoolExecutor(4) as pool:
        trees = list(pool.map(syntax_tree, ["a = 1", "b = 2", "c = 3", "d = 4"]))
    assert [ast.unparse(tree) for tree in trees] == ["a = 1", "b = 2", "c = 3", "d = 4"]
