"""A whole request from a file: it is read as data, what is given beside it wins, and what is wrong is one message."""

import pytest

from harness.core.errors import UserError
from harness.planning.request import make_request
from harness.planning.request_file import request_text


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "request.yaml"
        path.write_text(text)
        return path

    return write


def test_a_request_comes_back_as_it_was_but_for_the_name(written):
    request = make_request(
        suite="digits",
        methods=("minimax", "dit"),
        ipc=[10],
        settings={"minimax.lambda_r": 0.03, "protocol.lr": 0.02},
        validation=0.2,
        validation_seed=4,
        name="first",
    )
    again = make_request(config=written(request_text(request)))
    assert again == request.model_copy(update={"name": None})


def test_what_is_given_beside_the_file_wins(written):
    path = written(
        "suite: digits\nipc: [10]\nseeds: 3\nsettings:\n  minimax: {epochs: 4, lambda_r: 0.1}\n  dit.guidance: 2.0\n"
    )
    request = make_request(config=path, bytes=["8kB"], settings=["minimax.epochs=5"], seeds=None)
    assert (request.ipc, request.bytes, request.seeds) == (None, (8000,), (3,))
    assert request.settings == {"minimax": {"epochs": 5, "lambda_r": 0.1}, "dit": {"guidance": 2.0}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("suite: digits\nipcs: [10]", "unknown field 'ipcs'. Did you mean 'ipc'?"),
        ("suite: digits\nconfig: other.yaml", "unknown field 'config'"),
        ("suite: digits\nvalidation: 1.5", "field 'validation'"),
        ("suite: digits\nipc: 1.5", "ipc: expected a list of names or integers; found 1.5"),
        ("suite: digits\nbytes: {a: 1}", "bytes: expected a list"),
        ("suite: digits\nsettings: [minimax.epochs]", "settings: expected options by target"),
        ("suite: digits\nsettings: {minimax: 4}", "settings: minimax: expected its options"),
        ("- digits", "expected fields and values"),
        ("suite: !!python/object/apply:os.system [id]", "not valid YAML"),
        ("methods: [dit]", "field 'suite' is missing"),
    ],
)
def test_a_file_that_is_wrong_is_one_message(written, text, said):
    with pytest.raises(UserError) as caught:
        make_request(config=written(text))
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_one_message(tmp_path):
    with pytest.raises(UserError, match="cannot be read: No such file"):
        make_request(config=tmp_path / "none.yaml")


def test_reading_a_request_loads_no_plugin(written, tmp_path):
    plugin = tmp_path / "evil.py"
    plugin.write_text("raise SystemExit('loaded')")
    assert make_request(config=written(f"suite: digits\nplugins: [{plugin}]")).plugins == (str(plugin),)
