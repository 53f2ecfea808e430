"""Every module that holds tables, in one place: what importing this registers is what migrations are compared with."""

from sqlalchemy import MetaData

import bot.care.attachments
import bot.care.awaited
import bot.care.bindings
import bot.care.consultations.rows
import bot.care.followups.rows
import bot.care.patients
import bot.care.rechecks
import bot.care.records
import bot.care.roster
import bot.dialogue.turns
import bot.inbox.messages
import bot.knowledge.faq
import bot.outbox.rows
import bot.store.accounts
import bot.store.audit
import bot.store.demo_clock
import bot.web.sessions
from bot.store.base import Base

metadata: MetaData = Base.metadata
