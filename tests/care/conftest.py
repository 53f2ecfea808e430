"""A ward in the session of the test."""

import pytest
from care.ward import Ward
from sqlalchemy.ext.asyncio import AsyncSession


@pytest.fixture
def ward(session: AsyncSession) -> Ward:
    """Hospitals, people and what they write."""
    return Ward(session)
