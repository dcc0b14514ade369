"""Every table in one import, and the differences between the models and a database."""

from sqlalchemy import Connection

from models.audit import chain, results
from models.catalogue import clubs, items, tables
from models.database.base import Base
from models.inbox import bulk, certificates, deliveries, events, pauses, reconciliation
from models.ledger import adjustments, expiry, redemptions
from models.ledger import tables as ledger
from models.members import closure_walk, life, memberships, overdue, search
from models.moving import tables as moving
from models.operations import heartbeats, jobs, notices
from models.payments import announcements, failed_dues, not_dues, recorded, references, reviews
from models.staff import accounts, actions, kept_answers, logins, second_factor, tokens

TABLES = (
    clubs.Club, items.Item, tables.Offer, tables.SessionBucket, tables.PaymentTerm,
    tables.BucketTerms, memberships.Member, memberships.Membership,
    memberships.MembershipTerms, memberships.PinnedTerms, memberships.EarlierClub, memberships.BillingReference,
    memberships.FormerReference, life.LifeAct, closure_walk.ClosureWalk, adjustments.Adjustment,
    events.WebhookEvent, events.EventError, bulk.BulkAction, pauses.Pause,
    deliveries.DeliveryCount, references.Payment, references.PaymentMatch,
    not_dues.NotDues, failed_dues.FailedDues, overdue.ClearedDues,
    reviews.PaymentReview, recorded.PaymentFact, announcements.AnnouncementAnswer, ledger.CreditGrant,
    redemptions.Redemption, expiry.ExpiryRun, ledger.LedgerEntry, jobs.Job,
    chain.EntryHash, results.Audit, heartbeats.Heartbeat, notices.KnownAlarm, notices.Notice,
    reconciliation.Reconciliation, actions.Action, certificates.LearnedCertificate,
    accounts.Staff, accounts.StaffClub, logins.Login, logins.LoginFailures,
    second_factor.RecoveryCode, tokens.ApiToken, kept_answers.KeptAnswer,
    moving.Import, moving.ImportRow,
)  # fmt: skip

INDEXES = (search.NAME_WORDS, search.EMAIL_PREFIX, search.NAME_ORDER)


def differences(connection: Connection) -> list[object]:
    """Tables, columns, indexes and foreign keys that only the models or only the migrated database has.

    It does not compare checks, triggers, functions and views; tests/models/database/test_migrations.py does.
    """
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, Base.metadata))
