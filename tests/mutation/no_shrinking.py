"""A pytest plugin: a failing example is enough, the smallest one is not looked for."""

from __future__ import annotations

from hypothesis import Phase, settings

settings.register_profile("mutants", deadline=None, phases=(Phase.explicit, Phase.generate))
