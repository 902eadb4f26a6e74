"""Rules for the tests of core: no test of ours is failed by the clock."""

from hypothesis import settings

settings.register_profile("without clock", deadline=None)
settings.load_profile("without clock")
