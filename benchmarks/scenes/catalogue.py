"""All scenes, by number."""

from __future__ import annotations

from .bench import Scene
from .deploys import DeployScene
from .idle import IdleScene
from .requests import SCENES as REQUEST_SCENES
from .restart import RestartScene
from .startup import StartupScene
from .transfer import TransferScene

SCENES: dict[int, Scene] = {
    scene.number: scene
    for scene in (*REQUEST_SCENES, IdleScene(), RestartScene(), StartupScene(), TransferScene(), DeployScene())
}
USUAL = [number for number in SCENES if number != 17]
"""Those of a run without `--scenes`; the deploys take some minutes more."""
