"""Every ISO 4217 currency that a catalog may ever have named: its minor unit's decimals and, where it was withdrawn, when.

Kept here beside the ``iso4217`` library, whose table forgets a currency on the day it is withdrawn: an invoice of before still has
to be read, corrected and rounded, and a stored plan to load. A test holds the two together, so that an upgrade of the library which
adds or drops a code fails until this table says so too.

Sources: current codes and decimals are ISO 4217 list one, as of 2026-01-01; withdrawal months are its list three (historic
denominations; the last month in which the code was still in use somewhere); decimals of withdrawn codes, which list three does not
tell, are those of the JDK's ``java.util.Currency``. Codes withdrawn before 1999 are left out: nothing of then is billed.
"""

from __future__ import annotations

from datetime import date
from typing import Final

_CURRENT: Final = """
AED2 AFN2 ALL2 AMD2 AOA2 ARS2 AUD2 AWG2 AZN2 BAM2 BBD2 BDT2 BHD3 BIF0 BMD2 BND2 BOB2 BOV2 BRL2 BSD2 BTN2 BWP2 BYN2 BZD2 CAD2 CDF2 CHE2
CHF2 CHW2 CLF4 CLP0 CNY2 COP2 COU2 CRC2 CUP2 CVE2 CZK2 DJF0 DKK2 DOP2 DZD2 EGP2 ERN2 ETB2 EUR2 FJD2 FKP2 GBP2 GEL2 GHS2 GIP2 GMD2 GNF0
GTQ2 GYD2 HKD2 HNL2 HTG2 HUF2 IDR2 ILS2 INR2 IQD3 IRR2 ISK0 JMD2 JOD3 JPY0 KES2 KGS2 KHR2 KMF0 KPW2 KRW0 KWD3 KYD2 KZT2 LAK2 LBP2 LKR2
LRD2 LSL2 LYD3 MAD2 MDL2 MGA2 MKD2 MMK2 MNT2 MOP2 MRU2 MUR2 MVR2 MWK2 MXN2 MXV2 MYR2 MZN2 NAD2 NGN2 NIO2 NOK2 NPR2 NZD2 OMR3 PAB2 PEN2
PGK2 PHP2 PKR2 PLN2 PYG0 QAR2 RON2 RSD2 RUB2 RWF0 SAR2 SBD2 SCR2 SDG2 SEK2 SGD2 SHP2 SLE2 SOS2 SRD2 SSP2 STN2 SVC2 SYP2 SZL2 THB2 TJS2
TMT2 TND3 TOP2 TRY2 TTD2 TWD2 TZS2 UAH2 UGX0 USD2 USN2 UYI0 UYU2 UYW4 UZS2 VED2 VES2 VND0 VUV0 WST2 XAD2 XAF0 XCD2 XCG2 XOF0 XPF0 YER2
ZAR2 ZMW2 ZWG2
"""
_WITHDRAWN: Final = """
ADP0=2003-07 AFA2=2003-01 ANG2=2025-03 ATS2=2002-03 AYM2=2005-10 AZM2=2005-12 BEF0=2002-03 BGL2=2003-11 BGN2=2026-01 BYB0=2001-01
BYR0=2017-01 CSD2=2006-10 CUC2=2021-06 CYP2=2008-01 DEM2=2002-03 EEK2=2011-01 ESP0=2002-03 FIM2=2002-03 FRF2=2002-03 GHC2=2008-01
GRD0=2002-03 HRK2=2023-01 IEP2=2002-03 ITL0=2002-03 LTL2=2014-12 LUF0=2002-03 LVL2=2014-01 MGF0=2004-12 MRO2=2017-12 MTL2=2008-01
MZM2=2006-06 NLG2=2002-03 PTE0=2002-03 ROL0=2005-06 RUR2=2004-01 SDD2=2007-07 SIT2=2007-01 SKK2=2009-01 SLL2=2023-12 SRG2=2003-12
STD2=2017-12 TMM2=2009-01 TPE0=2002-11 TRL0=2005-12 USS2=2014-03 VEB2=2008-01 VEF2=2018-08 YUM2=2003-07 ZMK2=2012-12 ZWD2=2008-08
ZWL2=2024-09 ZWN2=2006-09 ZWR2=2009-06
"""


def _after(month: str) -> date:
    """The first day after a month ``YYYY-MM``."""
    year, number = map(int, month.split("-"))
    return date(year + number // 12, number % 12 + 1, 1)


CURRENT: Final[dict[str, int]] = {text[:3]: int(text[3:]) for text in _CURRENT.split()}
WITHDRAWN: Final[dict[str, tuple[int, date]]] = {
    text[:3]: (int(text[3]), _after(text[5:])) for text in _WITHDRAWN.split()
}
"""(decimals, the first day on which it was nobody's currency any more)."""
