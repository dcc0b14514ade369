"""A member whose plan changes."""

import pytest

from models.members.memberships import Membership
from tests.models.gym import Gym


@pytest.fixture
def member(gym: Gym) -> Membership:
    """Signed up at NOW for 8 classes of 30 days."""
    return gym.join("sub")
