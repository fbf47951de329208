"""A pytest plugin: Hypothesis finds a failing example and stops. Which one is smallest takes minutes and tells nothing."""

from hypothesis import Phase, settings

settings.register_profile("mutants", phases=(Phase.explicit, Phase.generate), database=None, deadline=None)
settings.load_profile("mutants")
