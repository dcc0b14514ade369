"""PURE: the currencies of ISO 4217, and how many digits the minor unit of each has.

Every amount that is stored counts in these minor units, so a digit that changed would change what all amounts mean.
That is why the table is our own: CLDR's, which Babel brings along, differs from ISO's and changes with its releases
(2.18 gives the Serbian dinar no decimals, 2.19 takes them from the forint). A test holds it against ISO's list.

Left out is what has no minor unit and is no money that dues are paid in: XAU, XDR, XTS, XXX and their like.
"""

from collections.abc import Mapping

CURRENT: Mapping[str, int] = {
    code: digits
    for digits, codes in {
        0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
        2: """AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF
            CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL
            HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU
            MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR
            SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED
            VES WST XAD XCD XCG YER ZAR ZMW ZWG""",
        3: "BHD IQD JOD KWD LYD OMR TND",
        4: "CLF UYW",
    }.items()
    for code in codes.split()
}
"""Code -> digits of the minor unit: 2 for US dollars, 0 for yen, 3 for dinars of Kuwait."""

WITHDRAWN: Mapping[str, int] = dict.fromkeys(["ANG", "BGN", "CUC", "HRK", "SLL", "ZWL"], 2)
"""Currencies that ISO has withdrawn since 2023, which were paid in before. What becomes withdrawn moves here."""

_KNOWN = {**CURRENT, **WITHDRAWN}


def is_known(code: str) -> bool:
    """Whether that is the code, in upper case, of a currency that dues can be paid in, or could be until lately."""
    return code in _KNOWN


def digits(code: str) -> int:
    """How many digits its minor unit has; 2 for a code that is not known, which only old rows can have."""
    return _KNOWN.get(code, 2)
