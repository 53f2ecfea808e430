"""What is kept no longer than promised."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

UNCONSENTED_KEPT = timedelta(hours=72)

_FORGET = text("""
update message set body_sealed = null
where received_at < :before and received_at > :floor and body_sealed is not null and person_id is null
  and consultation_id is null
  and not exists (select 1 from acts_for where acts_for.account_id = message.account_id)
""")


async def forget_unconsented(session: AsyncSession, now: datetime) -> None:
    """Words written before any agreement are destroyed after three days; that they were written stays."""
    before = now - UNCONSENTED_KEPT
    await session.execute(_FORGET, {"before": before, "floor": before - timedelta(days=30)})
