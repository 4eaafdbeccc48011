"""The reference with one of its modules edited: ``edited_reference.py EDIT.json REQUEST …``.

``EDIT.json`` names the module, its file and the source that stands in for it. Kernels that are not
edited keep their compiled code.
"""

from __future__ import annotations

import json
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType


class _Loader(SourceFileLoader):
    def __init__(self, edit: dict[str, str]) -> None:
        super().__init__(edit["module"], edit["file"])
        self._text = edit["text"]

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return compile(self._text, self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, edit: dict[str, str]) -> None:
        self._edit = edit

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> ModuleSpec | None:
        del path, target
        if fullname != self._edit["module"]:
            return None
        file = self._edit["file"]
        search = [str(Path(file).parent)] if file.endswith("__init__.py") else None
        return spec_from_file_location(
            fullname, file, loader=_Loader(self._edit), submodule_search_locations=search
        )


def main(arguments: list[str]) -> int:
    """Carry out one request with the edited module."""
    edit, *request = arguments
    sys.meta_path.insert(0, _Finder(json.loads(Path(edit).read_bytes())))
    sys.argv = ["nmc", *request]
    from nmc_tools import cli

    cli.main()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
