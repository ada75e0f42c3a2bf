"""Every ISO 4217 currency that a catalog may ever have named: its minor unit's decimals and, where it was withdrawn,
when.

Kept here beside the ``iso4217`` library, whose table forgets a currency on the day it is withdrawn: an invoice of
before still has to be read, corrected and rounded, and a stored plan to load. A test holds the two together, so that an
upgrade of the library which adds or drops a code fails until this table says so too.

Sources: current codes and decimals are ISO 4217 list one, as of 2026-01-01; withdrawal months are its list three
(historic denominations; the last month in which the code was still in use somewhere); decimals of withdrawn codes,
which list three does not tell, are those of the JDK's ``java.util.Currency``, and of codes that it does not know,
CLDR's supplemental data (which say 2 of every currency that they do not list; list three gives the earliest withdrawals
by years alone, whose last month is taken). List three and CLDR were read through the packages
``iso_4217`` 0.8.260101 and ``babel`` 2.19.0. The two differ on some decimals of codes that inflation had left without
coins: what Weir has rounded to so far stays (ROL 0 as the JDK has it, where CLDR says 2; MRO, SLL, STD, TMM, ZMK, ZWD
2, where CLDR says 0). Units of account without a minor unit (XFO, XFU, XRE) are no currencies to bill in.
"""

from __future__ import annotations

from datetime import date
from typing import Final

_CURRENT: Final = """
AED2 AFN2 ALL2 AMD2 AOA2 ARS2 AUD2 AWG2 AZN2 BAM2 BBD2 BDT2 BHD3 BIF0 BMD2 BND2 BOB2 BOV2 BRL2 BSD2 BTN2 BWP2 BYN2
BZD2 CAD2 CDF2 CHE2 CHF2 CHW2 CLF4 CLP0 CNY2 COP2 COU2 CRC2 CUP2 CVE2 CZK2 DJF0 DKK2 DOP2 DZD2 EGP2 ERN2 ETB2 EUR2
FJD2 FKP2 GBP2 GEL2 GHS2 GIP2 GMD2 GNF0 GTQ2 GYD2 HKD2 HNL2 HTG2 HUF2 IDR2 ILS2 INR2 IQD3 IRR2 ISK0 JMD2 JOD3 JPY0
KES2 KGS2 KHR2 KMF0 KPW2 KRW0 KWD3 KYD2 KZT2 LAK2 LBP2 LKR2 LRD2 LSL2 LYD3 MAD2 MDL2 MGA2 MKD2 MMK2 MNT2 MOP2 MRU2
MUR2 MVR2 MWK2 MXN2 MXV2 MYR2 MZN2 NAD2 NGN2 NIO2 NOK2 NPR2 NZD2 OMR3 PAB2 PEN2 PGK2 PHP2 PKR2 PLN2 PYG0 QAR2 RON2
RSD2 RUB2 RWF0 SAR2 SBD2 SCR2 SDG2 SEK2 SGD2 SHP2 SLE2 SOS2 SRD2 SSP2 STN2 SVC2 SYP2 SZL2 THB2 TJS2 TMT2 TND3 TOP2
TRY2 TTD2 TWD2 TZS2 UAH2 UGX0 USD2 USN2 UYI0 UYU2 UYW4 UZS2 VED2 VES2 VND0 VUV0 WST2 XAD2 XAF0 XCD2 XCG2 XOF0 XPF0
YER2 ZAR2 ZMW2 ZWG2
"""
_WITHDRAWN: Final = """
ADP0=2003-07 AFA2=2003-01 ANG2=2025-03 ATS2=2002-03 AYM2=2005-10 AZM2=2005-12 BEF0=2002-03 BGL2=2003-11
BGN2=2026-01 BYB0=2001-01 BYR0=2017-01 CSD2=2006-10 CUC2=2021-06 CYP2=2008-01 DEM2=2002-03 EEK2=2011-01
ESP0=2002-03 FIM2=2002-03 FRF2=2002-03 GHC2=2008-01 GRD0=2002-03 HRK2=2023-01 IEP2=2002-03 ITL0=2002-03
LTL2=2014-12 LUF0=2002-03 LVL2=2014-01 MGF0=2004-12 MRO2=2017-12 MTL2=2008-01 MZM2=2006-06 NLG2=2002-03
PTE0=2002-03 ROL0=2005-06 RUR2=2004-01 SDD2=2007-07 SIT2=2007-01 SKK2=2009-01 SLL2=2023-12 SRG2=2003-12
STD2=2017-12 TMM2=2009-01 TPE0=2002-11 TRL0=2005-12 USS2=2014-03 VEB2=2008-01 VEF2=2018-08 YUM2=2003-07
ZMK2=2012-12 ZWD2=2008-08 ZWL2=2024-09 ZWN2=2006-09 ZWR2=2009-06
"""


_WITHDRAWN_UNKNOWN_TO_THE_JDK: Final = """
ALK2=1989-12 AOK2=1991-03 AON2=2000-02 AOR2=2000-02 ARA2=1992-01 ARP2=1985-07 ARY2=1990-12 BAD2=1998-07
BEC2=1990-03 BEL2=1990-03 BGJ2=1990-12 BGK2=1990-12 BOP2=1987-02 BRB2=1986-03 BRC2=1989-02 BRE2=1993-03
BRN2=1990-03 BRR2=1994-07 BUK2=1990-02 CHC2=2004-11 CSJ2=1990-12 CSK2=1993-03 DDM2=1990-09 ECS2=2000-09
ECV2=2000-09 ESA2=1981-12 ESB2=1994-12 GEK2=1995-10 GHP2=2007-06 GNE2=1989-12 GNS2=1986-02 GQE2=1986-06
GWE2=1981-12 GWP2=1997-05 HRD2=1995-01 ILP2=1981-12 ILR2=1990-12 ISJ2=1990-12 LAJ2=1979-12 LSM2=1985-05
LTT2=1993-07 LUC2=1990-03 LUL2=1990-03 LVR2=1994-12 MLF2=1984-11 MTP2=1983-06 MVQ2=1989-12 MXP2=1993-01
MZE2=1981-12 NIC2=1990-10 PEH2=1990-12 PEI2=1991-07 PES2=1986-02 PLZ2=1997-01 RHD2=1981-12 ROK2=1990-12
SDP2=1998-06 SUR2=1990-12 TJR2=2001-04 UAK2=1996-09 UGS2=1987-05 UGW2=1990-12 UYN2=1989-12 UYP2=1993-03
VNC2=1990-12 XEU2=1999-01 YDD2=1991-09 YUD2=1990-01 YUN2=1995-11 ZAL2=1995-03 ZRN2=1999-06 ZRZ2=1994-02
ZWC2=1989-12
"""


def _after(month: str) -> date:
    """The first day after a month ``YYYY-MM``."""
    year, number = map(int, month.split("-"))
    return date(year + number // 12, number % 12 + 1, 1)


CURRENT: Final[dict[str, int]] = {text[:3]: int(text[3:]) for text in _CURRENT.split()}
WITHDRAWN: Final[dict[str, tuple[int, date]]] = {
    text[:3]: (int(text[3]), _after(text[5:])) for text in (*_WITHDRAWN.split(), *_WITHDRAWN_UNKNOWN_TO_THE_JDK.split())
}
"""Code → (decimals, first day after its withdrawal)."""
