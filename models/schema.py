"""Every table, in one import."""

from models import (
    actions,
    adjustments,
    audits,
    bulk,
    catalogue,
    certificates,
    chain,
    deliveries,
    expiry_runs,
    facts,
    heartbeats,
    inbox,
    jobs,
    kept_answers,
    ledger,
    logins,
    members,
    notices,
    pauses,
    payments,
    reconciliation,
    redemption,
    search,
    staff,
    tokens,
)

TABLES = (
    catalogue.Club, catalogue.Item, catalogue.Offer, catalogue.SessionBucket, catalogue.PaymentTerm,
    catalogue.BucketTerms, members.Member, members.Membership,
    members.MembershipTerms, members.PinnedTerms, members.BillingReference, adjustments.Adjustment,
    inbox.WebhookEvent, inbox.EventError, bulk.BulkAct, pauses.Pause,
    deliveries.DeliveryCount, payments.Payment, facts.PaymentFact, ledger.CreditGrant,
    redemption.Redemption, expiry_runs.ExpiryRun, ledger.LedgerEntry, jobs.Job,
    chain.EntryHash, audits.Audit, heartbeats.Heartbeat, notices.KnownAlarm, notices.Notice,
    reconciliation.Reconciliation, actions.Action, certificates.LearnedCertificate,
    staff.Staff, logins.Login, logins.LoginFailures, tokens.ApiToken, kept_answers.KeptAnswer,
)  # fmt: skip

INDEXES = (search.NAME_WORDS, search.EMAIL_PREFIX, search.NAME_ORDER)
