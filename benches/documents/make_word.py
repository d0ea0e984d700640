"""Ten Word documents: of python-docx with the parts of Word it has no functions for, of pandoc, and
of LibreOffice."""

import io
import pathlib
import struct
import subprocess
import zlib

import docx
import pypandoc
from docx.enum.style import WD_STYLE_TYPE
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

NAMES = nsdecls("w", "r", "wp", "a", "pic") + (
    ' xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    ' xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"'
    ' xmlns:v="urn:schemas-microsoft-com:vml"'
)
UNDERLINED, BELOW = '<w:u w:val="single"/>', '<w:vertAlign w:val="subscript"/>'
ARABIC = '<w:b/><w:rtl/><w:lang w:bidi="ar-SA"/>'
SITE = 'HYPERLINK "https://un.org"'
DATE = 'w:author="A. Delegate" w:date="2026-01-31T12:00:00Z"'


def office(source, kind, folder, *more):
    """Converts files with LibreOffice; where the new one is of the first."""
    sources = source if isinstance(source, list) else [source]
    command = ["soffice", "--headless", *more, "--convert-to", kind, "--outdir", folder, *sources]
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=280)
    return pathlib.Path(folder) / f"{pathlib.Path(sources[0]).stem}.{kind.split(':')[0]}"


def picture(side=24):
    """A PNG."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    rows = b"".join(b"\0" + bytes([x * 9, 90, 160] * 1) * 1 + bytes([40, 90, 160]) * (side - 1)
                    for x in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"IEND", b""))


def raw(document, body):
    """Adds elements of WordprocessingML at the end."""
    for element in parse_xml(f"<w:body {NAMES}>{body}</w:body>"):
        document.element.body.insert(-1, element)


def run(words, properties=""):
    properties = f"<w:rPr>{properties}</w:rPr>" if properties else ""
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return f'<w:r>{properties}<w:t xml:space="preserve">{words}</w:t></w:r>'


def field(instruction, result):
    def mark(kind):
        return f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>'
    code = f'<w:r><w:instrText xml:space="preserve"> {instruction} </w:instrText></w:r>'
    return mark("begin") + code + mark("separate") + result + mark("end")


def link(document, words, address):
    kind = RELATIONSHIP_TYPE.HYPERLINK
    identity = document.part.relate_to(address, kind, is_external=True)
    return f'<w:hyperlink r:id="{identity}">{run(words, UNDERLINED)}</w:hyperlink>'


def plain(texts):
    """Headings, lists within each other, a table with joined cells, header and footer."""
    document = docx.Document()
    section = document.sections[0]
    section.header.paragraphs[0].text = "United Nations\tUniversal Declaration"
    section.footer.paragraphs[0]._p.append(parse_xml(
        f"<w:r {NAMES}><w:t xml:space='preserve'>Page </w:t></w:r>"))
    for element in parse_xml(f"<w:p {NAMES}>{field('PAGE', run('1'))}</w:p>"):
        section.footer.paragraphs[0]._p.append(element)
    document.add_heading("Universal Declaration of Human Rights", 0)
    for title, paragraphs in texts[:4]:
        document.add_heading(title, 1)
        for number, text in enumerate(paragraphs):
            style = ["List Bullet", "List Bullet 2", "List Number"][number % 3]
            document.add_paragraph(text, style=style if len(paragraphs) > 1 else None)
    table = document.add_table(3, 3, style="Table Grid")
    for cell, (title, paragraphs) in zip(table._cells, texts[5:14]):
        cell.text = f"{title}: {paragraphs[0]}"
    table.cell(0, 0).merge(table.cell(0, 1))
    table.cell(1, 2).merge(table.cell(2, 2))
    return document


def formatted(texts):
    """Runs of many looks, tabs, breaks, links, a word in two looks, symbols."""
    document = docx.Document()
    document.styles.add_style("Stress", WD_STYLE_TYPE.CHARACTER).font.bold = True
    looks = ["<w:b/>", "<w:i/>", '<w:rStyle w:val="Stress"/>', '<w:vertAlign w:val="superscript"/>',
             '<w:color w:val="C00000"/><w:sz w:val="28"/>', '<w:highlight w:val="yellow"/>',
             '<w:lang w:val="en-GB"/>', "<w:noProof/>", "<w:caps/>", "<w:strike/>"]
    for at, (_, paragraphs) in enumerate(texts[:20]):
        words = paragraphs[0].split(" ")
        third = max(1, len(words) // 3)
        head, middle, tail = words[:third], words[third:2 * third], words[2 * third:]
        raw(document, f'<w:p w:rsidR="00AB12CD"><w:r><w:tab/></w:r>{run(" ".join(head) + " ")}'
            f'<w:proofErr w:type="spellStart"/>{run(" ".join(middle), looks[at % len(looks)])}'
            f'<w:proofErr w:type="spellEnd"/>{run(" " + " ".join(tail))}<w:r><w:br/></w:r>'
            f'{link(document, "the Charter", "https://www.un.org/charter")}{run(", in part")}'
            f'<w:r w:rsidRPr="00EE"><w:t>icular</w:t></w:r><w:r><w:sym w:font="Wingdings" '
            f'w:char="F0E0"/></w:r>{run(" of water")}{run(" below", BELOW)}'
            f'{run(" it.")}</w:p>')
    return document


def tracked(texts):
    """Tracked insertions, deletions, moves and looks; comments over words."""
    document = docx.Document()
    for at, (_, paragraphs) in enumerate(texts[:12]):
        words = paragraphs[0].split(" ")
        half = len(words) // 2
        head, tail = " ".join(words[:half]), " ".join(words[half:])
        old = f'<w:del w:id="{at * 9}" {DATE}><w:r><w:delText>earlier words</w:delText></w:r></w:del>'
        new = f'<w:ins w:id="{at * 9 + 1}" {DATE}>{run("inserted words ")}</w:ins>'
        looks = f'<w:b/><w:rPrChange w:id="{at * 9 + 2}" {DATE}><w:rPr/></w:rPrChange>'
        mark = f'<w:pPr><w:rPr><w:ins w:id="{at * 9 + 3}" {DATE}/></w:rPr></w:pPr>'
        move = (f'<w:moveFromRangeStart w:id="{at * 9 + 4}" w:name="m{at}" {DATE}/>'
                f'<w:moveFrom w:id="{at * 9 + 5}" {DATE}>{run("moved words ")}</w:moveFrom>'
                f'<w:moveFromRangeEnd w:id="{at * 9 + 4}"/>')
        there = (f'<w:moveToRangeStart w:id="{at * 9 + 6}" w:name="m{at}" {DATE}/>'
                 f'<w:moveTo w:id="{at * 9 + 7}" {DATE}>{run("moved words ")}</w:moveTo>'
                 f'<w:moveToRangeEnd w:id="{at * 9 + 6}"/>')
        body = [old + new, new + old, run("both ", looks), move + there][at % 4]
        raw(document, f"<w:p>{mark if at % 3 == 0 else ''}{run(head + ' ')}{body}{run(tail)}</w:p>")
    for paragraph in document.paragraphs[::3]:
        document.add_comment(paragraph.runs, text="Is this what was agreed?", author="A. Delegate")
    return document


def fields(texts):
    """A table of contents over paragraphs, references, captions, bookmarks, links of fields."""
    document = docx.Document()
    first = ('<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText xml:space="preserve"> '
             'TOC \\o "1-2" \\h </w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>')
    for at, (title, _) in enumerate(texts[:6]):
        entry = (f'<w:hyperlink w:anchor="_Toc{at}">{run(title)}<w:r><w:tab/></w:r>'
                 f'{field(f"PAGEREF _Toc{at}", run("1"))}</w:hyperlink>')
        raw(document, f"<w:p>{first if at == 0 else ''}{entry}</w:p>")
    raw(document, '<w:p><w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>')
    for at, (title, paragraphs) in enumerate(texts[:6]):
        raw(document, f'<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr><w:bookmarkStart '
            f'w:id="{at}" w:name="_Toc{at}"/>{run(title)}<w:bookmarkEnd w:id="{at}"/></w:p>')
        raw(document, f'<w:p>{run(paragraphs[0] + " See ")}{field(f"REF _Toc{at}", run(title))}'
            f'{run(" and ")}{field(SITE, run("the site of the Organization"))}'
            f'{run(", on ")}<w:fldSimple w:instr="DATE">{run("31/01/2026")}</w:fldSimple>'
            f'{run(".")}</w:p>')
        raw(document, f'<w:p><w:pPr><w:pStyle w:val="Caption"/></w:pPr>{run("Table ")}'
            f'{field("SEQ Table", run(str(at + 1)))}{run(": of the rights")}</w:p>')
    return document


def boxes(texts):
    """Pictures with descriptions, text boxes in both forms, content controls, ruby."""
    document = docx.Document()
    for at, (title, paragraphs) in enumerate(texts[:5]):
        document.add_heading(title, 2)
        document.add_picture(io.BytesIO(picture()), width=docx.shared.Cm(2))
        document.inline_shapes[at]._inline.docPr.set("descr", "A blue square")
        box = f"<w:txbxContent><w:p>{run('A box beside ' + title)}</w:p></w:txbxContent>"
        shape = ('<a:graphic><a:graphicData uri="http://schemas.microsoft.com/office/word/2010/'
                 f'wordprocessingShape"><wps:wsp><wps:cNvSpPr txBox="1"/><wps:spPr><a:xfrm><a:off '
                 'x="0" y="0"/><a:ext cx="1800000" cy="360000"/></a:xfrm><a:prstGeom prst="rect">'
                 f"<a:avLst/></a:prstGeom></wps:spPr><wps:txbx>{box}</wps:txbx><wps:bodyPr/></wps:wsp>"
                 "</a:graphicData></a:graphic>")
        inline = (f'<w:drawing><wp:inline><wp:extent cx="1800000" cy="360000"/><wp:docPr id="{90 + at}"'
                  f' name="Box {at}"/>{shape}</wp:inline></w:drawing>')
        vml = (f'<w:pict><v:rect style="width:140pt;height:28pt"><v:textbox>{box}</v:textbox>'
               "</v:rect></w:pict>")
        both = (f'<w:r><mc:AlternateContent><mc:Choice Requires="wps">{inline}</mc:Choice>'
                f"<mc:Fallback>{vml}</mc:Fallback></mc:AlternateContent></w:r>")
        control = (f'<w:sdt><w:sdtPr><w:alias w:val="Note"/><w:id w:val="{77 + at}"/></w:sdtPr>'
                   f'<w:sdtContent>{run("controlled words ")}</w:sdtContent></w:sdt>')
        ruby = ('<w:r><w:ruby><w:rubyPr><w:rubyAlign w:val="center"/><w:hps w:val="10"/><w:hpsRaise '
                'w:val="18"/><w:hpsBaseText w:val="21"/><w:lid w:val="ja-JP"/></w:rubyPr><w:rt>'
                '<w:r><w:t>じん</w:t></w:r></w:rt><w:rubyBase><w:r><w:t>人</w:t></w:r></w:rubyBase>'
                "</w:ruby></w:r>")
        raw(document, f"<w:p>{run(paragraphs[0] + ' ')}{both}{control}{run('and after ')}{ruby}</w:p>")
    raw(document, f'<w:sdt><w:sdtPr><w:id w:val="70"/></w:sdtPr><w:sdtContent><w:p>'
        f"{run('A paragraph in a control.')}</w:p></w:sdtContent></w:sdt>")
    return document


def right_to_left(texts):
    """Arabic, from right to left, with a table and words in Latin script."""
    document = docx.Document()
    for title, paragraphs in texts[:10]:
        raw(document, f'<w:p><w:pPr><w:keepNext/><w:bidi/><w:jc w:val="start"/></w:pPr>'
            f'{run(title, ARABIC)}</w:p>')
        for text in paragraphs:
            raw(document, f'<w:p><w:pPr><w:bidi/></w:pPr>{run(text + " ", "<w:rtl/>")}'
                f'{run("UNESCO")}{run(" 1948.", "<w:rtl/>")}</w:p>')
    cell = "<w:tc><w:tcPr><w:tcW w:w='2000' w:type='dxa'/></w:tcPr><w:p><w:pPr><w:bidi/></w:pPr>{}</w:p></w:tc>"
    cells = "".join(cell.format(run(title, "<w:rtl/>")) for title, _ in texts[:3])
    raw(document, f"<w:tbl><w:tblPr><w:bidiVisual/></w:tblPr><w:tblGrid><w:gridCol/><w:gridCol/>"
        f"<w:gridCol/></w:tblGrid><w:tr>{cells}</w:tr></w:tbl>")
    return document


def markdown(texts):
    """For pandoc: notes, a table, lists within each other, definitions, formulas, tracked changes."""
    parts = ["# Universal Declaration of Human Rights\n"]
    for at, (title, paragraphs) in enumerate(texts[:9]):
        parts.append(f"## {title}\n\n{paragraphs[0]}[^{at}] See [the *Charter*](https://un.org/c{at}).\n")
        parts.append("".join(f"{n}. {text}\n\n    - of *{title}*\n\n        - and `code`\n"
                             for n, text in enumerate(paragraphs[1:3], 1)))
        parts.append(f"[^{at}]: A note on **{title}**, with $E = mc^2$.\n")
    parts.append("| Right | Article |\n|:--|--:|\n| Life | 3 |\n| *Asylum* | 14 |\n\n: Where they are\n")
    parts.append('Asylum\n:   protection from persecution\n\n> A quotation\n>\n> of two paragraphs.\n')
    parts.append('It was [inserted]{.insertion author="A" date="2026-01-31T12:00:00Z"} and '
                 '[removed]{.deletion author="A" date="2026-01-31T12:00:00Z"} here.\n')
    return "\n".join(parts)


def make(folder, udhr):
    """Writes the documents; each with the language it is in."""
    from declaration import articles

    folder = pathlib.Path(folder)
    work = folder / "work"
    work.mkdir(parents=True, exist_ok=True)
    english, arabic = articles(udhr, "eng"), articles(udhr, "arb")
    makers = {"plain": plain, "formatted": formatted, "tracked": tracked, "fields": fields,
              "boxes": boxes}
    for name, maker in makers.items():
        maker(english).save(folder / f"{name}.docx")
    right_to_left(arabic).save(folder / "arabic.docx")
    pypandoc.convert_text(markdown(english), "docx", format="markdown+footnotes",
                          outputfile=str(folder / "pandoc.docx"))
    pypandoc.convert_text(markdown(articles(udhr, "fra")), "odt", format="markdown",
                          outputfile=str(work / "office-notes.odt"))
    # Written by LibreOffice: of a text with notes, of a document with boxes, of a web page.
    office(work / "office-notes.odt", "docx", folder)
    boxes(english).save(work / "office-boxes.docx")
    office(office(work / "office-boxes.docx", "odt", work), "docx", folder)
    page = work / "office-page.html"
    page.write_bytes((pathlib.Path(udhr) / "spa.html").read_bytes())
    office(office(page, "odt:writer8", work, "--infilter=HTML (StarWriter)"), "docx", folder)
    languages = {"arabic": "ar", "office-notes": "fr", "office-page": "es"}
    return [(path, languages.get(path.stem, "en")) for path in sorted(folder.glob("*.docx"))]
