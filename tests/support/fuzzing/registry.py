"""All targets."""

from __future__ import annotations

from fuzzing import core_targets, plugin_targets
from fuzzing.target import Target


TARGETS: tuple[Target, ...] = core_targets.TARGETS + plugin_targets.TARGETS
