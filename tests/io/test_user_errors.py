"""What a user did wrong ends a script with a message; a defect keeps its traceback."""

import pickle

import pytest

from mmhadaptive.io.user_errors import UserError, UserValueError, blame_config, run_script


def failing(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    "error",
    [
        UserError("a"),
        UserValueError("a"),
        FileNotFoundError("a"),
        PermissionError("a"),
        pickle.UnpicklingError("a"),
        FloatingPointError("a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_message_and_status_2(error, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["folder/train.py"])
    with pytest.raises(SystemExit) as stop:
        run_script(failing(error))
    assert stop.value.code == 2
    assert capsys.readouterr().err == "train.py: error: a\n"


@pytest.mark.parametrize("error", [ValueError("a"), KeyError("a"), RuntimeError("a")])
def test_a_defect_is_raised_on(error):
    with pytest.raises(type(error)):
        run_script(failing(error))


def test_a_traceback_on_request(monkeypatch):
    monkeypatch.setenv("MMHADAPTIVE_TRACEBACK", "1")
    with pytest.raises(UserError):
        run_script(failing(UserError("a")))


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("arch is q"), "arch is q"),
        (KeyError("Hadaptive is not in the registry"), "Hadaptive is not in the registry"),
        (ImportError("timm is missing"), "timm is missing"),
        (SyntaxError("invalid syntax"), "invalid syntax"),
        (TypeError("f() got an unexpected keyword argument 'x'"), "f() got an unexpected"),
        (TypeError("f() missing 1 required positional argument: 'x'"), "f() missing 1"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_and_keys_of_a_config(error, message):
    with pytest.raises(UserError) as caught, blame_config():
        raise error
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("error", [TypeError("NoneType is not iterable"), AttributeError("x")])
def test_other_errors_pass_a_config_through(error):
    with pytest.raises(type(error)) as caught, blame_config():
        raise error
    assert caught.value is error
