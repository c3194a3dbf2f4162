"""Files as people have them: each supported type, and what is refused with which reason."""

from __future__ import annotations

import io
import random
import time
import zipfile

import pytest

from retrieval.errors import LoadingError
from retrieval.loading import MAX_TITLE_CHARS, SUPPORTED, load
from starter import bundle


def one_line_pdf(line: str) -> bytes:
    """The least that a PDF of one text line needs; its readers rebuild the missing table."""
    drawing = f"BT /F1 12 Tf 72 720 Td ({line}) Tj ET".encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawing), drawing),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    return (
        body
        + b"xref\n0 6\n0000000000 65535 f \n"
        + table
        + b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(body)
    )


def squeezed(text: str) -> str:
    """Runs of blanks as one, so that a table's padding does not matter."""
    return "\n".join(" ".join(line.split()) for line in text.splitlines())


@pytest.mark.parametrize(
    ("source", "heading", "row"),
    [
        (
            "policies/cabin-baggage.md",
            "## What each fare includes",
            "| Classic | 1 | 1 | small item 5 kg, cabin bag 8 kg |",
        ),
        (
            "policies/seat-selection-fees.html",
            "## Price by type of seat",
            "| Standard | €6 | €12 | €22 |",
        ),
        (
            "policies/group-bookings.pdf",
            "# Group bookings",
            "| Medium-haul | €55 | €25 |",
        ),
        (
            "policies/meridian-for-small-business.docx",
            "## Savings",
            "| Start | up to €7,499 | 2% | 3% |",
        ),
    ],
)
def test_load_starter_document_keeps_headings_and_table_rows(
    source: str, heading: str, row: str
) -> None:
    lines = squeezed(load(source, (bundle.DOCUMENTS / source).read_bytes()).text).splitlines()
    assert heading in lines
    assert row in lines


def test_load_csv_becomes_a_table_with_escaped_bars() -> None:
    loaded = load("fees/extra-bags.csv", 'bag,fee\nfirst,"€20 | €30"\n'.encode())
    assert loaded.title == "extra bags"
    assert loaded.text == "| bag | fee |\n| --- | --- |\n| first | €20 \\| €30 |\n"


def test_load_csv_with_byte_order_mark_drops_it() -> None:
    assert load("x.csv", b"\xef\xbb\xbfbag,fee\n1,2\n").text.startswith("| bag |")


def test_load_plain_text_normalises_line_ends_and_drops_nul_and_byte_order_mark() -> None:
    assert load("a.txt", b"\xef\xbb\xbfone\r\ntwo\x00\r\n\r\n").text == "one\ntwo\n"


def test_load_suffix_in_capitals_is_known() -> None:
    assert load("README.MD", b"# Read me\n").title == "Read me"


@pytest.mark.parametrize("name", ["photo.jpeg", "noext", ".md", "archive.tar.gz", ""])
def test_load_unsupported_suffix_names_it_and_what_is_supported(name: str) -> None:
    with pytest.raises(LoadingError, match="unsupported type") as raised:
        load(name, b"text")
    assert repr(name) in str(raised.value)
    assert ".docx" in str(raised.value)


@pytest.mark.parametrize("suffix", SUPPORTED)
def test_load_empty_file_is_refused(suffix: str) -> None:
    with pytest.raises(LoadingError, match=f"empty{suffix}"):
        load(f"empty{suffix}", b"")


def test_load_white_space_alone_is_refused_with_the_remedy() -> None:
    with pytest.raises(LoadingError, match=r"holds no text.*text recognition"):
        load("blank.txt", b" \n\t\n\x00")


def test_load_invalid_utf8_says_at_which_byte() -> None:
    with pytest.raises(LoadingError, match=r"not UTF-8.*at byte 4"):
        load("latin.md", b"caf\xc3\xa9"[:3] + b" \xe9t\xe9")


@pytest.mark.parametrize("suffix", [".pdf", ".docx"])
def test_load_random_bytes_are_refused(suffix: str) -> None:
    with pytest.raises(LoadingError, match=f"is no {suffix} file"):
        load(f"broken{suffix}", random.Random(1).randbytes(500))


def test_load_pdf_with_nothing_behind_its_header_is_refused() -> None:
    with pytest.raises(LoadingError, match=r"broken\.pdf"):
        load("broken.pdf", b"%PDF-1.4\n" + random.Random(1).randbytes(200))


@pytest.mark.parametrize("suffix", [".pdf", ".docx"])
def test_load_text_renamed_to_another_type_is_refused(suffix: str) -> None:
    with pytest.raises(LoadingError):
        load(f"renamed{suffix}", b"Just text under another name.\n")


def test_load_archive_renamed_to_docx_is_refused() -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("inside.txt", "text in an archive")
    with pytest.raises(LoadingError):
        load("renamed.docx", archive.getvalue())


def test_load_csv_of_invalid_utf8_is_refused() -> None:
    with pytest.raises(LoadingError, match="UTF-8"):
        load("latin.csv", b"name,caf\xe9\nAda,36\n")


def test_load_unreadable_pdf_says_why() -> None:
    with pytest.raises(LoadingError) as raised:
        load("broken.pdf", random.Random(1).randbytes(500))
    assert "after 1 attempts:;" not in str(raised.value)


def test_load_html_keeps_the_text_and_drops_the_clutter() -> None:
    page = """<html><head><style>p{}</style></head><body>
      <nav><a href="/">Menu</a></nav><aside>Advert</aside>
      <h1>Fees</h1><p>A bag costs <b>€20</b>.</p>
      <script>track()</script><noscript>Enable it</noscript><template>Hidden</template>
      <form><input value="q"><button>Search</button></form>
      <footer><nav>Imprint</nav></footer></body></html>"""
    assert load("fees.html", page.encode()).text == "# Fees\n\nA bag costs **€20**.\n"


def test_load_html_with_main_reads_only_that() -> None:
    page = "<body><p>Around</p><main><h1>Fees</h1><p>€20</p></main><p>Below</p></body>"
    assert load("fees.htm", page.encode()).text == "# Fees\n\n€20\n"


def test_load_html_in_a_declared_encoding_reads_its_letters() -> None:
    page = '<html><head><meta charset="iso-8859-1"></head><body><p>Café für €</p></body></html>'
    assert load("x.html", page.replace("€", "&euro;").encode("latin-1")).text == "Café für €\n"


def test_load_html_of_clutter_alone_is_refused() -> None:
    with pytest.raises(LoadingError, match="holds no text"):
        load("menu.html", b"<body><nav>Menu</nav></body>")


def test_load_html_with_several_articles_keeps_them_all() -> None:
    page = b"<body><h1>FAQ</h1><article>Bags</article><article>Pets</article></body>"
    text = load("faq.html", page).text
    assert [word for word in ("FAQ", "Bags", "Pets") if word in text] == ["FAQ", "Bags", "Pets"]


def test_load_html_wrapped_in_a_form_keeps_its_text() -> None:
    page = b"<body><form id='aspnetForm'><h1>Fees</h1><p>A bag costs 20 euros.</p></form></body>"
    assert "A bag costs 20 euros." in load("fees.html", page).text


def test_load_html_whose_body_speaks_of_breadcrumbs_keeps_its_text() -> None:
    page = b"<body class='page has-breadcrumbs'><h1>Fees</h1><p>A bag costs 20 euros.</p></body>"
    assert "A bag costs 20 euros." in load("fees.html", page).text


def test_load_html_drops_breadcrumbs() -> None:
    page = b"<body><p class='crumbs'><a href='/'>Help</a> / Bags</p><h1>Fees</h1></body>"
    assert load("fees.html", page).text == "# Fees\n"


def test_load_html_that_its_parser_rejects_is_refused() -> None:
    with pytest.raises(LoadingError):
        load("broken.html", b"<![n00 hello")


@pytest.mark.filterwarnings("ignore::bs4.XMLParsedAsHTMLWarning")
def test_load_xhtml_with_its_declaration_is_read() -> None:
    page = b'<?xml version="1.0"?><html><body><h1>Fees</h1><p>20</p></body></html>'
    assert load("x.html", page).text == "# Fees\n\n20\n"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# `Fees` for [*bags*](/bags) {#fees}\n", "Fees for bags"),
        ("intro\n\n### Deep ###\n", "Deep"),
        ("no heading\n", "house rules"),
        ("#hashtag\n", "house rules"),
        ("# " + "long " * 100 + "\n", ("long " * 100)[:MAX_TITLE_CHARS]),
    ],
)
def test_load_title_is_the_first_heading_else_the_file_name(text: str, title: str) -> None:
    assert load("rules/house_rules.md", text.encode()).title == title


def test_load_title_ignores_code_blocks() -> None:
    assert load("x.md", b"```\n# install it\n```\n\n# Setup\n").title == "Setup"


def test_load_heading_with_a_long_run_of_blanks_is_read_at_once() -> None:
    started = time.perf_counter()
    load("x.md", b"# a" + b" " * 700 + b"b\n")
    assert time.perf_counter() - started < 0.2


def test_load_old_mac_line_ends_become_newlines() -> None:
    assert load("mac.txt", b"one\rtwo\r\rthree\r").text == "one\ntwo\n\nthree\n"


def test_load_pdf_without_headings_gets_its_first_line_as_one() -> None:
    assert load("x.pdf", one_line_pdf("Fees for bags")).title == "Fees for bags"


def test_load_pdf_of_one_line_keeps_it_as_text() -> None:
    text = load("x.pdf", one_line_pdf("A third bag costs 90 euros.")).text
    assert any("90 euros" in line for line in text.splitlines() if not line.startswith("#"))
