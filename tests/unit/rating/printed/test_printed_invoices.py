"""A printed invoice: the same bytes each time, every script, as much as is allowed, and who stood on it when it was
made."""

from __future__ import annotations

import struct
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rating.invoices.stored_invoice import StoredInvoiceHead, StoredInvoiceLine, WholeInvoice
from rating.printed import typesetting
from rating.printed.invoice_document import MOST_LINES, invoice_document
from rating.printed.pinned_parties import InvoiceParties, parties_of
from rating.printed.typesetting import NotPrinted, printed
from schemas.catalog.models import Account, Namespace
from schemas.catalog.parties.invoice_parties import Buyer, Seller
from schemas.catalog.state import Catalog, record_of
from schemas.reference.examples import EXAMPLES

FONTS = Path(typesetting.__file__).with_name("fonts")
TEMPLATE = Path(typesetting.__file__).with_name("invoice.typ").read_text()
SCRIPTS = {
    "Latin": "Łódź ŉ Việt", "Greek": "Ελληνικά", "Cyrillic": "Привіт", "Arabic": "شركة", "Hebrew": "שלום",
    "Devanagari": "हिन्दी", "Bengali": "বাংলা", "Gurmukhi": "ਪੰਜਾਬੀ", "Gujarati": "ગુજરાતી", "Oriya": "ଓଡ଼ିଆ",
    "Tamil": "தமிழ்", "Telugu": "తెలుగు", "Kannada": "ಕನ್ನಡ", "Malayalam": "മലയാളം", "Sinhala": "සිංහල",
    "Thai": "ภาษาไทย", "Lao": "ພາສາລາວ", "Tibetan": "བོད་ཡིག", "Burmese": "မြန်မာ", "Georgian": "ქართული",
    "Armenian": "Հայերեն", "Ethiopic": "አማርኛ", "Khmer": "ភាសាខ្មែរ", "Mongolian": "ᠮᠣᠩᠭᠣᠯ", "Thaana": "ދިވެހި",
    "Korean": "한국어 뷁", "Japanese": "株式会社テスト、ひらがな", "Chinese": "简体中文 繁體中文",
    "currencies": "€£¥₹₽₺₩",
}  # fmt: skip
HOSTILE = '#panic() #read("/etc/passwd") $x$ *b* ] \\ @x <script> "'


def invoice(lines: int = 2, text: str = "Calls", **head: Any) -> WholeInvoice:
    known = StoredInvoiceHead(
        "shop", "inv_1", 1, "", "sub", 0, "acme", "p", 1, 0, 86_400_000_000, "UTC", "run", 1, 10, 1, "finalized", "USD",
        "5.00", "5.00", number="INV-1",
    )  # fmt: skip
    line = StoredInvoiceLine(
        1, "usage", "calls", "calls", text, "m.p", (1,), 0, 86_400_000_000, Decimal(4), 2, "call", {}, "2.50", "2.5",
        ({"text": f"4 × 0.625 {text}"},), "", "",
    )  # fmt: skip
    values = {name: getattr(known, name) for name in known.__slots__} | head
    return WholeInvoice(StoredInvoiceHead(**values), (line,) * lines)


PARTIES = InvoiceParties(Seller(**EXAMPLES[Seller][0]), Buyer(name=HOSTILE, address=tuple(SCRIPTS.values())[:8]))


def test_an_invoice_is_printed_as_the_same_bytes_each_time_and_texts_are_never_markup() -> None:
    document = invoice_document(invoice(text=HOSTILE), PARTIES)
    first, second = printed(document), printed(document)
    assert first == second
    assert b"CreationDate" not in first
    assert b"ModDate" not in first
    assert first != printed(invoice_document(invoice(text="other"), PARTIES))


def test_what_takes_too_long_is_ended() -> None:
    with pytest.raises(NotPrinted, match="INV-1 was not set as PDF within"):
        printed(invoice_document(invoice(), PARTIES), seconds=0.001)


def test_what_the_template_does_not_take_is_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotPrinted, match="log says why"):
        printed({"number": "INV-1"})
    assert "exit code 1" in caplog.text


def test_further_lines_are_one_with_their_sum() -> None:
    lines = invoice_document(invoice(MOST_LINES + 2), PARTIES)["lines"]
    assert len(lines) == MOST_LINES + 1
    assert (lines[-1]["amount"], lines[-1]["text"][:15]) == ("5.00", "2 further lines")
    long = invoice_document(invoice(text="x" * 10_000), PARTIES)["lines"][0]
    assert len(long["text"]) == len(long["more"][0]) == 300


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_has_its_glyphs_in_a_font_that_the_template_names(script: str) -> None:
    for character in SCRIPTS[script].replace(" ", ""):
        files = [path for path in FONTS.glob("*.ttf") if ord(character) in characters(path)]
        assert any(f'"{family(path)}"' in TEMPLATE for path in files), (character, files)


def test_who_moves_later_is_not_on_older_invoices_elsewhere_and_what_was_never_set_is_as_it_was_first() -> None:
    catalog = Catalog()
    buyers = [None, Buyer(address=("Old Street",)), Buyer(address=("New Street",))]
    for offset, buyer in enumerate(buyers):
        account = Account(code="acme", name=f"Acme {offset}", buyer=buyer)
        catalog.apply(record(account, "account", offset + 1), offset * 10, 0)
    catalog.apply(record(Namespace(code="shop", seller=Seller(name="Shop AG")), "namespace", 1), 30, 0)
    view = catalog.view("shop", 100)

    def shown(offset: int) -> tuple[str, str, tuple[str, ...]]:
        parties = parties_of(view, invoice(catalog_offset=offset).head)
        return parties.seller.name, parties.buyer.name, parties.buyer.address

    assert shown(5) == ("Shop AG", "Acme 0", ("Old Street",))
    assert shown(15) == ("Shop AG", "Acme 1", ("Old Street",))
    assert shown(50) == ("Shop AG", "Acme 2", ("New Street",))
    nobody = parties_of(view, invoice(account_id="unknown").head)
    assert (nobody.buyer.name, nobody.buyer.address) == ("unknown", ())


def test_an_older_release_reads_what_says_nothing_of_seller_and_buyer() -> None:
    for model, kind in ((Account(code="a"), "account"), (Namespace(code="a"), "namespace")):
        assert not {"buyer", "seller"} & set(record(model, kind, 1)["body"].split('"'))


def record(model: Any, kind: str, version: int) -> dict[str, Any]:
    return record_of("shop", model, kind=kind, version=version, author="", claim_id=f"{kind}{version}")


def table_of(data: bytes, name: bytes) -> bytes:
    """A table of a TrueType file, b"" where it has none."""
    for index in range(struct.unpack(">H", data[4:6])[0]):
        tag, _, start, length = struct.unpack(">4sLLL", data[12 + 16 * index : 28 + 16 * index])
        if tag == name:
            return data[start : start + length]
    return b""


def characters(path: Path) -> set[int]:
    """What a font has glyphs of, by formats 4 and 12 of its cmap."""
    cmap, known = table_of(path.read_bytes(), b"cmap"), set()
    for index in range(struct.unpack(">H", cmap[2:4])[0]):
        at = struct.unpack(">L", cmap[8 + 8 * index : 12 + 8 * index])[0]
        if (form := struct.unpack(">H", cmap[at : at + 2])[0]) == 4:
            count = struct.unpack(">H", cmap[at + 6 : at + 8])[0] // 2
            ends = struct.unpack(f">{count}H", cmap[at + 14 : at + 14 + 2 * count])
            starts = struct.unpack(f">{count}H", cmap[at + 16 + 2 * count : at + 16 + 4 * count])
            known |= {code for start, end in zip(starts, ends, strict=True) for code in range(start, end + 1)}
        elif form == 12:
            groups = struct.unpack(">L", cmap[at + 12 : at + 16])[0]
            for group in range(groups):
                start, end = struct.unpack(">LL", cmap[at + 16 + 12 * group : at + 24 + 12 * group])
                known |= set(range(start, end + 1))
    return known - {0xFFFF}


def family(path: Path) -> str:
    """A font's family, as the template names it."""
    names = table_of(path.read_bytes(), b"name")
    count, texts = struct.unpack(">HH", names[2:6])
    for index in range(count):
        platform, _, _, name, length, start = struct.unpack(">6H", names[6 + 12 * index : 18 + 12 * index])
        if (platform, name) == (3, 1):
            return names[texts + start : texts + start + length].decode("utf-16-be")
    return ""
