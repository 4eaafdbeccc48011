"""Names of the module ``nmc``: loaded when they are asked for, and the same for type checkers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nmc


def test_each_public_name_is_there() -> None:
    for name in nmc.__all__:
        assert getattr(nmc, name) is getattr(nmc, name)
    assert set(nmc.__all__) <= set(dir(nmc))


def test_type_checkers_see_what_there_is() -> None:
    tree = ast.parse(Path(nmc.__file__).read_text())
    checked = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == nmc._HOMES
    assert sorted(seen) == sorted(nmc.__all__)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        nmc.opne  # noqa: B018


def test_importing_loads_no_library() -> None:
    code = (
        "import sys, nmc; print(*sorted({'numpy', 'h5py', 'numba', 'asyncio'} & set(sys.modules)))"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert made.stdout.split() == []
