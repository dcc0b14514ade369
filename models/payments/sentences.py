"""The sentences that settling stores: why a payment stands in review, its problem, and the notes of its entries.

They are stored in US English, and translated into the language of a page (`models/retelling.py`).
"""

from runtime.language import stored

UNMATCHED = stored("no membership has {references}")
ANY_REFERENCE = stored("any of its references")
ERASED = stored("its member was erased on {day}")
OTHER_CURRENCY = stored("paid in {paid}, but the membership is in {currency}")
UNPLACED = stored("{lines} of it: no membership has that, and it is not marked as not dues")
LINE = stored("{amount} ({references})")
WITHOUT_REFERENCE = stored("without a reference")
LINES_DIFFER = stored("its lines come to {billed}, but {settled} was paid: its amount decided")
FROM_BALANCE = stored("{used} was paid from the payer's own balance")
NOT_DUES_REFUND = stored("{back} went back for lines that are no dues")
OUTSIDE = stored("money was given back outside the processor, by a credit note")
CUT_OVER = stored("{went} of a payment before the cut-over went back: opening sessions are not touched")
SEVERAL = stored("another charge for the same period: {others}")

PLAN_CHANGE = stored(
    "{billed} for a change of plan within a period, which gives no more sessions than were given for it"
)
NOTHING_BY_TERM = stored("it gave no sessions by the rules of its payment term")
NO_PARTS = stored("by its payment term, a part of the dues gives no sessions")
ENDED = stored("{billed} paid on {paid}, but the membership ended on {ended}: it gave nothing")
ENDED_BEFORE = stored(
    "{billed} paid on {paid} for the time from {begins} on, but the membership ended on {ended}: it gave nothing"
)
FROZEN = stored("{billed}, which is the dues, paid on {paid} while the membership was frozen: it gave nothing")
BESIDE = stored("{billed} beside the dues of {dues}, which were paid on the same day: it gave nothing")
PAYER_ONLY = stored("{billed} of a payer whose dues are {dues}; it names no subscription")
ODD_PERIOD = stored("the period that it says it pays for, {first} to {last}, makes no sense: its amount decided")
FEWER = stored("{billed} for a period of {covered} times the dues of {dues}: it gave {given} times the sessions")
PART = stored("{billed} for {share} of what dues of {dues} pay for")
LESS = stored("{billed}, less than the dues of {dues}")
MORE = stored("{billed}, more than the dues of {dues}")

PAID_TWICE = stored("paid {amount} by one event, but {others} by another")
PAID_FOR_TWO = stored("paid for {reference} by one event, but for {other} by another")
BACK_IN_OTHER_CURRENCY = stored("paid in {currency}, but reversed in another currency: that reversal has no effect")
BACK_MORE = stored("{back} was refunded, but only {paid} was paid")

CODE_OF_NOBODY = stored("it came with the code {code}, which no membership has")
CODE_OF_ERASED = stored("it came with the code of membership {membership}, whose member was erased")
CODE_OF_TEST = stored(
    "it came with the code of membership {membership}, which is a test member's, and {endpoint} is not a test endpoint"
)
CODE_TAKEN = stored("it came with the code of membership {membership}, from which staff took {reference}")
CODE_USED = stored(
    "it came with the code of membership {membership}, to which that code has given {reference} on {endpoint} already"
)
CODE_NOT_AWAITED = stored(
    "it came with the code of membership {membership} by a link that anyone could edit, and that membership does not"
    " await its first payment"
)
CODE_OF_OTHER_DUES = stored(
    "it came with the code of membership {membership} by a link that anyone could edit; its dues are {dues}, and what"
    " was due is {billed}"
)

BEGINS_AFTER_END = stored("it would begin on {day}, and the membership ended on {ended}")
BEFORE_CUT_OVER = stored("it was paid before the cut-over: an earlier system has given its sessions")
FREEZE_FEE = stored("it was paid while the membership was frozen: it is the fee of the freeze")
ALL_BUT_FEE = stored("all but a fee of {fee} went back: it counts as all")
LONGER_THAN_KNOWN = stored("it can be used longer than was known when it expired")
CREDITED_LATE = stored("credited late: days to expire count from the day of crediting")
NOT_COUNTED = stored("{days} not counted")
FROZEN_ON = stored("frozen until further notice")
MEMBERSHIP_ENDED = stored("the membership ended on {day}")
MONEY_AWAY = stored("days on which its money was away are not counted")
COUNTED_ANEW = stored("its days are counted anew")
