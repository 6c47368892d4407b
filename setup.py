"""The build step that pyproject.toml cannot express: the champion model goes into the wheel.

Only what serving needs is packaged (the ONNX graphs and the card); a checkout serves from ./models.
"""

import json
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

MODELS = Path("models")
PACKAGED = Path("inference") / "released"  # inference.artifact.PACKAGED
SERVED = ("card.json", "*.onnx", "README.md", "DATASHEET.md", "SOURCE_ATTRIBUTES.md", "source_attributes.json")


class BuildWithModel(build_py):
    """Copies the champion beside the code that reads it."""

    def run(self) -> None:
        """Build the packages, then add the model. An editable install reads ./models instead."""
        super().run()
        if not self.editable_mode:
            for source, target in self._files().items():
                Path(target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        """Everything that belongs into the wheel."""
        return [*super().get_outputs(include_bytecode), *self._files().values()]

    def _files(self) -> dict[str, str]:
        champion = MODELS / json.loads((MODELS / "champion.json").read_text())["path"]
        folder = Path(self.build_lib) / PACKAGED
        return {str(file): str(folder / file.name) for pattern in SERVED for file in sorted(champion.glob(pattern))}


setup(cmdclass={"build_py": BuildWithModel})
