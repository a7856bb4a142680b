import pytest
from release_bot import ReleaseBot


@pytest.fixture
def drift_agent():
    """The agent under test; a test module may override it."""
    return ReleaseBot()
