import os

import pytest

from pipelines import native_logs


def test_what_native_code_prints_is_held_back(capfd):
    with native_logs.held_back():
        os.write(2, b"remark\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_it_is_printed_after_all_when_loading_fails(capfd):
    with pytest.raises(ImportError), native_logs.held_back():
        os.write(2, b"cannot find the library\n")
        raise ImportError
    assert capfd.readouterr().err == "cannot find the library\n"
