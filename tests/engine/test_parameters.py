"""Parameters: what is refused, and what the refusal tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import InputError
from engine.parameters import check_params, check_record, load_params, parameters_in
from lib.models.parameters import PRESETS
from lib.studies.embryo import EmbryoParameters

NAMES = sorted(EmbryoParameters.model_fields)


def write(folder, text):
    path = folder / "given.yaml"
    path.write_text(text)
    return path


def test_file_overrides_defaults_and_argument_overrides_file(tmp_path):
    path = write(tmp_path, "folds: 7\nclassifier_rate: 2.0e-4\n")
    params = load_params(path, folds=6)
    assert (params.folds, params.classifier_rate) == (6, 2e-4)
    assert params.image_size == EmbryoParameters().image_size


@given(name=st.text(min_size=1).filter(lambda name: name not in EmbryoParameters.model_fields))
def test_any_unknown_key_is_refused_and_named(name):
    with pytest.raises(InputError) as refused:
        check_params({name: 1}, "x.yaml")
    assert name in str(refused.value)
    assert "x.yaml" in str(refused.value)


@given(name=st.sampled_from(NAMES), position=st.integers(0, 30))
def test_misspelt_key_names_the_right_one(name, position):
    position %= len(name)
    misspelt = name[:position] + name[position] + name[position:]
    with pytest.raises(InputError, match=f"did you mean '{name}'"):
        check_params({misspelt: 1}, "x.yaml")


@given(value=st.one_of(st.text(), st.none(), st.lists(st.integers()), st.floats(), st.booleans()))
def test_integer_takes_nothing_but_integers(value):
    with pytest.raises(InputError, match="folds"):
        check_params({"folds": value}, "x.yaml")


def test_number_that_yaml_reads_as_text_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(InputError, match=r"translator_rate.*2e-4.*write a plain number, 2\.0e-4"):
        load_params(write(tmp_path, "translator_rate: 2e-4\n"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("folds", 1),
        ("holdout_share", 0.0),
        ("classifier_rate", 1.0),
        ("classifier_rate", float("nan")),
        ("cycle_weight", -1.0),
        ("cycle_weight", float("inf")),
        ("preset", "other"),
        ("device", "tpu"),
        ("profile", "../quick"),
        ("image_size", 66),
        ("target_domain", "ED4"),
    ],
)
def test_value_out_of_range_is_refused_with_its_value(name, value):
    with pytest.raises(InputError) as refused:
        check_params({name: value}, "x.yaml")
    assert str(value) in str(refused.value)


def test_real_data_need_a_folder():
    with pytest.raises(InputError, match="data_dir is empty"):
        check_params({"data_kind": "table"}, "x.yaml")


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_fills_what_is_left_out_and_yields_to_what_is_given(preset):
    params = check_params({"preset": preset, "cycle_weight": 3.5}, "x.yaml")
    for name, value in PRESETS[preset].items():
        assert getattr(params, name) == (3.5 if name == "cycle_weight" else value)


def test_missing_file_lists_the_profiles_that_exist(tmp_path):
    (tmp_path / "small.yaml").write_text("")
    with pytest.raises(InputError, match=r"large\.yaml.*small"):
        load_params(tmp_path / "large.yaml")


@pytest.mark.parametrize("text", ["- folds\n", "folds", "", "folds: [1\n"])
def test_file_without_lines_of_name_and_value_is_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"given\.yaml"):
        load_params(write(tmp_path, text))


def test_notebook_variables_that_are_no_parameters_are_left_alone():
    params = parameters_in({"folds": 3, "colour_folds": 1, "plt": object(), "table": None})
    assert params.folds == 3


def test_notebook_parameter_of_the_wrong_type_is_refused():
    with pytest.raises(InputError, match="notebook's parameters"):
        parameters_in({"folds": "3"})


def test_parameters_cannot_change_during_a_run():
    with pytest.raises(ValueError, match="frozen"):
        EmbryoParameters().folds = 3


def test_what_an_earlier_version_wrote_is_read_without_what_is_gone():
    """Weights and records outlive parameters; a wrong value in them is refused all the same."""
    given = {"seed": 3, "ablation_steps": 200}
    with pytest.raises(InputError, match="ablation_steps"):
        check_params(given, "mine")
    assert check_record(given, "mine").seed == 3
    with pytest.raises(InputError, match="seed"):
        check_record(given | {"seed": "three"}, "mine")
