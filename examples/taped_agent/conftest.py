import pytest
from taped_bot import TapedBot


@pytest.fixture
def drift_agent():
    return TapedBot()
