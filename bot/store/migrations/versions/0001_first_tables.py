"""The first tables

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


SEQUENCES = (("message_seq", 1), ("outbox_seq", 1), ("consultation_number", 1001))
PARTITIONED = ("message", "observation", "audit")


def upgrade() -> None:
    for name, start in SEQUENCES:
        op.execute(f"create sequence {name} as bigint start with {start}")
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("openid_blind", sa.LargeBinary(), nullable=False),
        sa.Column("openid_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("conversation_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("following", sa.Boolean(), nullable=False),
        sa.Column("unreachable_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "holder",
            sa.Enum("assistant", "alarm", "doctor", name="holder", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("holder_consultation_id", sa.Uuid(), nullable=True),
        sa.Column("holder_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("wrote_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tapped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("as_patient_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("abuse_marked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("choices_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("asking_doctor_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scanned_hospital_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("openid_blind", name=op.f("uq_account_openid_blind")),
    )
    op.create_index("ix_account_conversation_id", "account", ["conversation_id"], unique=True)
    op.create_table(
        "audit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("act", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("id", "at", name=op.f("pk_audit")),
        postgresql_partition_by="RANGE (at)",
    )
    op.create_index("ix_audit_actor_at", "audit", ["actor_id", "at"], unique=False)
    op.create_index("ix_audit_subject_at", "audit", ["subject_id", "at"], unique=False)
    op.create_table(
        "demo_clock",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("offset_seconds", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_demo_clock")),
    )
    op.create_table(
        "faq_topic",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("themes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("refuses", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_faq_topic")),
    )
    op.create_table(
        "hospital",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("city", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hospital")),
    )
    op.create_table(
        "login_trouble",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("login_blind", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_trouble")),
    )
    op.create_index(op.f("ix_login_trouble_login_blind"), "login_trouble", ["login_blind"], unique=False)
    op.create_table(
        "message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("nextval('message_seq')"), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=True),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("trace_id", sa.Text(), nullable=False),
        sa.Column("received_by", sa.Uuid(), nullable=True),
        sa.Column("passive_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "stage",
            sa.Enum("untriaged", "queued", "done", "handed_to_human", name="stage", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("first_tried_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("flag_level", sa.Text(), nullable=True),
        sa.Column("level", sa.Text(), nullable=True),
        sa.Column("flags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("triaged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("consultation_id", sa.Uuid(), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", "received_at", name=op.f("pk_message")),
        postgresql_partition_by="RANGE (received_at)",
    )
    op.create_index("ix_message_account_seq", "message", ["account_id", "seq"], unique=False)
    op.create_index(
        "ix_message_consultation",
        "message",
        ["consultation_id"],
        unique=False,
        postgresql_where="consultation_id is not null",
    )
    op.create_index(
        "ix_message_waiting",
        "message",
        ["account_id"],
        unique=False,
        postgresql_where="stage in ('untriaged', 'queued')",
    )
    op.create_table(
        "observation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Enum("platelet", "bleeding", name="kind", native_enum=False, length=32), nullable=False),
        sa.Column("value", sa.Numeric(precision=10, scale=2, asdecimal=False), nullable=True),
        sa.Column("unit", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("taken_on", sa.Date(), nullable=False),
        sa.Column("approximate", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("typed_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("replaced_by", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id", "recorded_at", name=op.f("pk_observation")),
        postgresql_partition_by="RANGE (recorded_at)",
    )
    op.create_index("ix_observation_cause", "observation", ["cause"], unique=False)
    op.create_index("ix_observation_person_kind_taken", "observation", ["person_id", "kind", "taken_on"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), server_default=sa.text("nextval('outbox_seq')"), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column(
            "kind",
            sa.Enum(
                "answer",
                "advice",
                "doctor_answer",
                "alert",
                "notice",
                "checkin",
                "invitation",
                "gateway",
                name="kind",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("consultation_id", sa.Uuid(), nullable=True),
        sa.Column("staff_id", sa.Uuid(), nullable=True),
        sa.Column("content_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("passive_for", sa.Uuid(), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "pending",
                "passive_claimed",
                "sending",
                "sent_passive",
                "sent_active",
                "sent_template",
                "parked",
                "maybe_sent",
                "failed",
                "superseded",
                name="state",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_by", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trace_id", sa.Text(), nullable=True),
        sa.Column("template_msg_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("cause", "kind", "ordinal", name=op.f("uq_outbox_cause_kind_ordinal")),
    )
    op.create_index("ix_outbox_account_sent", "outbox", ["account_id", "sent_at"], unique=False)
    op.create_index(
        "ix_outbox_claimed",
        "outbox",
        ["claimed_at"],
        unique=False,
        postgresql_where="state in ('passive_claimed', 'sending')",
    )
    op.create_index(
        "ix_outbox_consultation",
        "outbox",
        ["consultation_id"],
        unique=False,
        postgresql_where="consultation_id is not null",
    )
    op.create_index(
        "ix_outbox_open",
        "outbox",
        ["account_id", "seq"],
        unique=False,
        postgresql_where="state in ('pending', 'passive_claimed', 'sending')",
    )
    op.create_index("ix_outbox_parked", "outbox", ["account_id"], unique=False, postgresql_where="state = 'parked'")
    op.create_index(
        "ix_outbox_passive_for", "outbox", ["passive_for"], unique=False, postgresql_where="passive_for is not null"
    )
    op.create_table(
        "received",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("msg_id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "msg_id", name=op.f("pk_received")),
    )
    op.create_index(op.f("ix_received_received_at"), "received", ["received_at"], unique=False)
    op.create_table(
        "action_result",
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("result_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_action_result_account_id_account")),
        sa.PrimaryKeyConstraint("cause", "action", "ordinal", name=op.f("pk_action_result")),
    )
    op.create_index(op.f("ix_action_result_at"), "action_result", ["at"], unique=False)
    op.create_table(
        "attachment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("size", sa.Integer(), nullable=True),
        sa.Column("failed", sa.Text(), nullable=True),
        sa.Column("data_sealed", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_attachment_account_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attachment")),
        sa.UniqueConstraint("message_id", name=op.f("uq_attachment_message_id")),
    )
    op.create_index("ix_attachment_account_at", "attachment", ["account_id", "at"], unique=False)
    op.create_table(
        "consent",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_consent_account_id_account")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent")),
    )
    op.create_index("ix_consent_account_id", "consent", ["account_id"], unique=False)
    op.create_table(
        "faq_revision",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("topic_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "draft",
                "in_review",
                "approved",
                "published",
                "retired",
                name="revisionstate",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("short", sa.Text(), nullable=False),
        sa.Column("full", sa.Text(), nullable=False),
        sa.Column("sources", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["topic_id"], ["faq_topic.id"], name=op.f("fk_faq_revision_topic_id_faq_topic")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_faq_revision")),
        sa.UniqueConstraint("topic_id", "number", name=op.f("uq_faq_revision_topic_id_number")),
    )
    op.create_index(
        "ix_faq_revision_published", "faq_revision", ["topic_id"], unique=True, postgresql_where="state = 'published'"
    )
    op.create_table(
        "form_draft",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("form", sa.Text(), nullable=False),
        sa.Column("checkin_id", sa.Uuid(), nullable=True),
        sa.Column("slots_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("requested_slot", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_form_draft_account_id_account")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_form_draft")),
    )
    op.create_table(
        "patient_session",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_patient_session_account_id_account")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_patient_session")),
    )
    op.create_index(op.f("ix_patient_session_account_id"), "patient_session", ["account_id"], unique=False)
    op.create_table(
        "staff",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=True),
        sa.Column(
            "role",
            sa.Enum(
                "doctor",
                "lead_doctor",
                "nurse",
                "cdc_editor",
                "clinical_reviewer",
                "moderator",
                "cdc_lead",
                "administrator",
                name="role",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("hospital_id", sa.Uuid(), nullable=True),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_staff_account_id_account")),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_staff_hospital_id_hospital")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_staff")),
        sa.UniqueConstraint("account_id", name=op.f("uq_staff_account_id")),
        sa.UniqueConstraint("login", name=op.f("uq_staff_login")),
    )
    op.create_index(op.f("ix_staff_hospital_id"), "staff", ["hospital_id"], unique=False)
    op.create_table(
        "faq_answered",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("revision_id", sa.Uuid(), nullable=False),
        sa.Column("topic_id", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["revision_id"], ["faq_revision.id"], name=op.f("fk_faq_answered_revision_id_faq_revision")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_faq_answered")),
    )
    op.create_index(op.f("ix_faq_answered_cause"), "faq_answered", ["cause"], unique=False)
    op.create_index(op.f("ix_faq_answered_revision_id"), "faq_answered", ["revision_id"], unique=False)
    op.create_table(
        "person",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary(), nullable=True),
        sa.Column("name_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("name_blind", sa.LargeBinary(), nullable=True),
        sa.Column("born_on", sa.Date(), nullable=True),
        sa.Column("sex", sa.Text(), nullable=True),
        sa.Column("diagnosed_on", sa.Date(), nullable=True),
        sa.Column("spleen_removed", sa.Boolean(), nullable=True),
        sa.Column("pregnant", sa.Boolean(), nullable=True),
        sa.Column("hospital_id", sa.Uuid(), nullable=True),
        sa.Column("doctor_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["doctor_id"], ["staff.id"], name=op.f("fk_person_doctor_id_staff")),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_person_hospital_id_hospital")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
    )
    op.create_index(op.f("ix_person_doctor_id"), "person", ["doctor_id"], unique=False)
    op.create_index(op.f("ix_person_hospital_id"), "person", ["hospital_id"], unique=False)
    op.create_index(op.f("ix_person_name_blind"), "person", ["name_blind"], unique=False)
    op.create_table(
        "shift",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("hospital_id", sa.Uuid(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("part", sa.Enum("duty", "backup", name="part", native_enum=False, length=32), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_shift_hospital_id_hospital")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_shift_staff_id_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shift")),
    )
    op.create_index("ix_shift_hospital_id_ends_at", "shift", ["hospital_id", "ends_at"], unique=False)
    op.create_index(op.f("ix_shift_staff_id"), "shift", ["staff_id"], unique=False)
    op.create_table(
        "staff_session",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=False),
        sa.Column("csrf", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("device", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_staff_session_staff_id_staff")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_staff_session")),
    )
    op.create_index(op.f("ix_staff_session_staff_id"), "staff_session", ["staff_id"], unique=False)
    op.create_table(
        "acts_for",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column(
            "relation",
            sa.Enum("self", "guardian", "proxy", name="relation", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("chosen", sa.Boolean(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_acts_for_account_id_account")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_acts_for_person_id_person")),
        sa.PrimaryKeyConstraint("account_id", "person_id", name=op.f("pk_acts_for")),
    )
    op.create_index(op.f("ix_acts_for_person_id"), "acts_for", ["person_id"], unique=False)
    op.create_table(
        "consultation",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), server_default=sa.text("nextval('consultation_number')"), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("hospital_id", sa.Uuid(), nullable=True),
        sa.Column(
            "level",
            sa.Enum("emergency", "urgent", "routine", name="level", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column(
            "stage",
            sa.Enum("queued", "claimed", "answered", "closed", name="stage", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("flags", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("nobody_on_duty", sa.Boolean(), nullable=False),
        sa.Column("holder_id", sa.Uuid(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("level_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("moves_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer_by", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "outcome",
            sa.Enum(
                "advised",
                "come_to_clinic",
                "sent_to_emergency",
                "no_reply",
                name="outcome",
                native_enum=False,
                length=32,
            ),
            nullable=True,
        ),
        sa.Column("followed_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_consultation_account_id_account")),
        sa.ForeignKeyConstraint(["holder_id"], ["staff.id"], name=op.f("fk_consultation_holder_id_staff")),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_consultation_hospital_id_hospital")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_consultation_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consultation")),
        sa.UniqueConstraint("cause", name=op.f("uq_consultation_cause")),
        sa.UniqueConstraint("number", name=op.f("uq_consultation_number")),
    )
    op.create_index("ix_consultation_account_opened", "consultation", ["account_id", "opened_at"], unique=False)
    op.create_index(
        "ix_consultation_holder", "consultation", ["holder_id"], unique=False, postgresql_where="stage <> 'closed'"
    )
    op.create_index(
        "ix_consultation_moves_at", "consultation", ["moves_at"], unique=False, postgresql_where="moves_at is not null"
    )
    op.create_index(
        "ix_consultation_open",
        "consultation",
        ["hospital_id", "level"],
        unique=False,
        postgresql_where="stage <> 'closed'",
    )
    op.create_index(op.f("ix_consultation_person_id"), "consultation", ["person_id"], unique=False)
    op.create_table(
        "followup_plan",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("plan_key", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("anchor_on", sa.Date(), nullable=False),
        sa.Column("started_by", sa.Uuid(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_followup_plan_account_id_account")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_followup_plan_person_id_person")),
        sa.ForeignKeyConstraint(["started_by"], ["staff.id"], name=op.f("fk_followup_plan_started_by_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_followup_plan")),
    )
    op.create_index(op.f("ix_followup_plan_person_id"), "followup_plan", ["person_id"], unique=False)
    op.create_table(
        "medicine",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("since", sa.Date(), nullable=True),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("told_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_medicine_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_medicine")),
    )
    op.create_index(op.f("ix_medicine_person_id"), "medicine", ["person_id"], unique=False)
    op.create_table(
        "checkin",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("questions", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "scheduled",
                "due",
                "invited",
                "asked",
                "nudged",
                "nurse_task",
                "doctor_task",
                "answered",
                "resolved",
                "lost_to_follow_up",
                "skipped",
                "merged",
                "cancelled",
                name="state",
                native_enum=False,
                length=32,
            ),
            nullable=False,
        ),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("postponed", sa.Integer(), nullable=False),
        sa.Column("invited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answers_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("level", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_checkin_account_id_account")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_checkin_person_id_person")),
        sa.ForeignKeyConstraint(["plan_id"], ["followup_plan.id"], name=op.f("fk_checkin_plan_id_followup_plan")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checkin")),
    )
    op.create_index("ix_checkin_next_at", "checkin", ["next_at"], unique=False, postgresql_where="next_at is not null")
    op.create_index("ix_checkin_person_due", "checkin", ["person_id", "due_at"], unique=False)
    op.create_index(op.f("ix_checkin_plan_id"), "checkin", ["plan_id"], unique=False)
    op.create_index(
        "ix_checkin_waiting",
        "checkin",
        ["account_id"],
        unique=False,
        postgresql_where="state in ('invited', 'asked', 'nudged', 'nurse_task', 'doctor_task')",
    )
    op.create_table(
        "consultation_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("consultation_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "kind",
            sa.Enum("patient", "doctor", "assistant", "note", "event", name="entrykind", native_enum=False, length=32),
            nullable=False,
        ),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=True),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("outbox_id", sa.Uuid(), nullable=True),
        sa.Column("attachment_id", sa.Uuid(), nullable=True),
        sa.Column("text_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("marks", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["consultation_id"], ["consultation.id"], name=op.f("fk_consultation_entry_consultation_id_consultation")
        ),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_consultation_entry_staff_id_staff")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consultation_entry")),
        sa.UniqueConstraint("cause", name=op.f("uq_consultation_entry_cause")),
    )
    op.create_index("ix_consultation_entry_thread", "consultation_entry", ["consultation_id", "at"], unique=False)
    op.create_table(
        "qr_scene",
        sa.Column("scene", sa.Text(), nullable=False),
        sa.Column("binds", sa.Enum("staff", "hospital", name="binds", native_enum=False, length=32), nullable=False),
        sa.Column("staff_id", sa.Uuid(), nullable=True),
        sa.Column("hospital_id", sa.Uuid(), nullable=True),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["hospital_id"], ["hospital.id"], name=op.f("fk_qr_scene_hospital_id_hospital")),
        sa.ForeignKeyConstraint(["staff_id"], ["staff.id"], name=op.f("fk_qr_scene_staff_id_staff")),
        sa.ForeignKeyConstraint(["used_by"], ["account.id"], name=op.f("fk_qr_scene_used_by_account")),
        sa.PrimaryKeyConstraint("scene", name=op.f("pk_qr_scene")),
    )
    op.create_table(
        "recheck",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("consultation_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_recheck_account_id_account")),
        sa.ForeignKeyConstraint(
            ["consultation_id"], ["consultation.id"], name=op.f("fk_recheck_consultation_id_consultation")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recheck")),
        sa.UniqueConstraint("consultation_id", "due_at", name=op.f("uq_recheck_consultation_id_due_at")),
    )
    op.create_index("ix_recheck_due", "recheck", ["due_at"], unique=False, postgresql_where="done_at is null")
    op.create_table(
        "awaited_answer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("needs", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_awaited_answer_account_id_account")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_awaited_answer_person_id_person")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_awaited_answer")),
    )
    op.create_index("ix_awaited_answer_account", "awaited_answer", ["account_id"], unique=False)
    op.create_index(
        "ix_awaited_answer_open",
        "awaited_answer",
        ["due_at"],
        unique=False,
        postgresql_where="answered_at is null and raised_at is null",
    )
    for table in PARTITIONED:
        # What falls into no month's partition is kept here and moved when the month's partition is made.
        op.execute(f"create table {table}_pdefault partition of {table} default")


def downgrade() -> None:
    op.drop_table("awaited_answer")
    op.drop_table("recheck")
    op.drop_table("qr_scene")
    op.drop_index("ix_consultation_entry_thread", table_name="consultation_entry")
    op.drop_table("consultation_entry")
    op.drop_index(
        "ix_checkin_waiting",
        table_name="checkin",
        postgresql_where="state in ('invited', 'asked', 'nudged', 'nurse_task', 'doctor_task')",
    )
    op.drop_index(op.f("ix_checkin_plan_id"), table_name="checkin")
    op.drop_index("ix_checkin_person_due", table_name="checkin")
    op.drop_index("ix_checkin_next_at", table_name="checkin", postgresql_where="next_at is not null")
    op.drop_table("checkin")
    op.drop_index(op.f("ix_medicine_person_id"), table_name="medicine")
    op.drop_table("medicine")
    op.drop_index(op.f("ix_followup_plan_person_id"), table_name="followup_plan")
    op.drop_table("followup_plan")
    op.drop_index(op.f("ix_consultation_person_id"), table_name="consultation")
    op.drop_index("ix_consultation_open", table_name="consultation", postgresql_where="stage <> 'closed'")
    op.drop_index("ix_consultation_moves_at", table_name="consultation", postgresql_where="moves_at is not null")
    op.drop_index("ix_consultation_holder", table_name="consultation", postgresql_where="stage <> 'closed'")
    op.drop_index("ix_consultation_account_opened", table_name="consultation")
    op.drop_table("consultation")
    op.drop_index(op.f("ix_acts_for_person_id"), table_name="acts_for")
    op.drop_table("acts_for")
    op.drop_index(op.f("ix_staff_session_staff_id"), table_name="staff_session")
    op.drop_table("staff_session")
    op.drop_index(op.f("ix_shift_staff_id"), table_name="shift")
    op.drop_index("ix_shift_hospital_id_ends_at", table_name="shift")
    op.drop_table("shift")
    op.drop_index(op.f("ix_person_name_blind"), table_name="person")
    op.drop_index(op.f("ix_person_hospital_id"), table_name="person")
    op.drop_index(op.f("ix_person_doctor_id"), table_name="person")
    op.drop_table("person")
    op.drop_index(op.f("ix_faq_answered_revision_id"), table_name="faq_answered")
    op.drop_index(op.f("ix_faq_answered_cause"), table_name="faq_answered")
    op.drop_table("faq_answered")
    op.drop_index(op.f("ix_staff_hospital_id"), table_name="staff")
    op.drop_table("staff")
    op.drop_index(op.f("ix_patient_session_account_id"), table_name="patient_session")
    op.drop_table("patient_session")
    op.drop_table("form_draft")
    op.drop_index("ix_faq_revision_published", table_name="faq_revision", postgresql_where="state = 'published'")
    op.drop_table("faq_revision")
    op.drop_index("ix_consent_account_id", table_name="consent")
    op.drop_table("consent")
    op.drop_index("ix_attachment_account_at", table_name="attachment")
    op.drop_table("attachment")
    op.drop_index(op.f("ix_action_result_at"), table_name="action_result")
    op.drop_table("action_result")
    op.drop_index(op.f("ix_received_received_at"), table_name="received")
    op.drop_table("received")
    op.drop_index("ix_outbox_passive_for", table_name="outbox", postgresql_where="passive_for is not null")
    op.drop_index("ix_outbox_parked", table_name="outbox", postgresql_where="state = 'parked'")
    op.drop_index("ix_outbox_open", table_name="outbox", postgresql_where="state in ('pending', 'sending')")
    op.drop_index("ix_outbox_consultation", table_name="outbox", postgresql_where="consultation_id is not null")
    op.drop_index("ix_outbox_claimed", table_name="outbox", postgresql_where="state in ('passive_claimed', 'sending')")
    op.drop_index("ix_outbox_account_sent", table_name="outbox")
    op.drop_table("outbox")
    op.drop_index("ix_observation_person_kind_taken", table_name="observation")
    op.drop_index("ix_observation_cause", table_name="observation")
    op.drop_table("observation")
    op.drop_index("ix_message_waiting", table_name="message", postgresql_where="stage in ('untriaged', 'queued')")
    op.drop_index("ix_message_consultation", table_name="message", postgresql_where="consultation_id is not null")
    op.drop_index("ix_message_account_seq", table_name="message")
    op.drop_table("message")
    op.drop_index(op.f("ix_login_trouble_login_blind"), table_name="login_trouble")
    op.drop_table("login_trouble")
    op.drop_table("hospital")
    op.drop_table("faq_topic")
    op.drop_table("demo_clock")
    op.drop_index("ix_audit_subject_at", table_name="audit")
    op.drop_index("ix_audit_actor_at", table_name="audit")
    op.drop_table("audit")
    op.drop_index("ix_account_conversation_id", table_name="account")
    op.drop_table("account")
    for name, _ in SEQUENCES:
        op.execute(f"drop sequence {name}")
