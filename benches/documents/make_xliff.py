"""Ten XLIFF files, five of each version: of translate-toolkit, and made by hand with what the
standards allow within a text and around it."""

import pathlib
from xml.sax.saxutils import escape

from declaration import articles
from translate.storage import xliff, xliff2

CORE = "urn:oasis:names:tc:xliff:document:"


def first(body, more="", original="declaration.html", kind="html"):
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<xliff version="1.2" xmlns="{CORE}1.2"{more}>\n'
            f'  <file original="{original}" source-language="en" datatype="{kind}">\n'
            f"    <body>\n{body}    </body>\n  </file>\n</xliff>\n")


def second(body, more="", version="2.0"):
    return (f'<?xml version="1.0" encoding="UTF-8"?>\n<xliff xmlns="{CORE}2.0" version="{version}" '
            f'srcLang="en" trgLang="fr"{more}>\n  <file id="f1">\n{body}  </file>\n</xliff>\n')


def halves(text):
    words = text.split(" ")
    return escape(" ".join(words[: len(words) // 2])), escape(" ".join(words[len(words) // 2:]))


def codes_1(texts):
    """Every inline element of 1.2."""
    forms = [
        '<g id="1" ctype="bold">{}</g> {}', '{} <x id="1" ctype="lb"/>{}',
        '<bpt id="1" rid="1">&lt;b&gt;</bpt>{}<ept id="1" rid="1">&lt;/b&gt;</ept> {}',
        '{} <ph id="1">%s</ph> {}', '<bx id="1" rid="1"/>{}<ex id="2" rid="1"/> {}',
        '<it id="1" pos="open">&lt;i&gt;</it>{} {}', '<mrk mtype="term">{}</mrk> {}',
        '{} <mrk mtype="protected">UNESCO</mrk> {}', '<g id="1"><g id="2">{}</g> {}</g>',
        '{} <ph id="1">&lt;a title="<sub>a title</sub>"&gt;</ph>{}',
    ]
    return first("".join(
        f'      <trans-unit id="u{at}" resname="r{at}">\n        <source>'
        f"{forms[at % len(forms)].format(*halves(text))}</source>\n        <note>Of {escape(title)}"
        "</note>\n      </trans-unit>\n" for at, (title, (text, *_)) in enumerate(texts)))


def states_1(texts):
    """Targets that are there, in all states; groups, proposals, units of binary data."""
    parts = []
    for at, (title, (text, *_)) in enumerate(texts):
        text = escape(text)
        target = [f"<target>{text}</target>", '<target state="needs-translation"/>',
                  f'<target state="final">{text}</target>', ""][at % 4]
        more = [' approved="no"', "", ' approved="yes"', ' translate="no"', ""][at % 5]
        parts.append(
            f'      <group id="g{at}" restype="x-p">\n        <trans-unit id="{at}"{more} '
            f'xml:space="preserve">\n          <source>  {text} </source>\n          {target}\n'
            f'          <alt-trans match-quality="80"><source>{text}</source><target>{text}</target>'
            "</alt-trans>\n        </trans-unit>\n      </group>\n")
    head = ('      <bin-unit id="b" mime-type="image/png"><bin-source><internal-file form="base64">AA=='
            "</internal-file></bin-source></bin-unit>\n")
    return first(head + "".join(parts))


def segmented_1(texts):
    """Sources cut into sentences as some tools write, and elements of another name space."""
    parts = []
    for at, (title, paragraphs) in enumerate(texts):
        marks = " ".join(f'<mrk mid="{n}" mtype="seg">{escape(text)}</mrk>'
                         for n, text in enumerate(paragraphs[:3]))
        whole = escape(" ".join(paragraphs[:3]))
        parts.append(f'      <trans-unit id="{at}"><source>{whole}</source><seg-source>{marks}'
                     f'</seg-source><t:info xmlns:t="urn:tool" t:at="{at}"/></trans-unit>\n')
    return first("".join(parts), ' xmlns:t="urn:tool"')


def codes_2(texts):
    """Every inline element of 2.0, original data, notes, ignorable parts."""
    forms = [
        '<pc id="1" dataRefStart="d1" dataRefEnd="d2">{}</pc> {}', '{} <ph id="1" dataRef="d1"/>{}',
        '<sc id="1" dataRef="d1"/>{}<ec startRef="1" dataRef="d2"/> {}', '{} <cp hex="001A"/> {}',
        '<mrk id="m1" type="term">{}</mrk> {}', '{} <mrk id="m1" translate="no">UNESCO</mrk> {}',
        '<sm id="m1" type="comment" value="why"/>{}<em startRef="m1"/> {}',
        '<pc id="1"><pc id="2">{}</pc> {}</pc>',
    ]
    parts = []
    for at, (title, (text, *_)) in enumerate(texts):
        content = forms[at % len(forms)].format(*halves(text))
        parts.append(
            f'    <unit id="u{at}" name="n{at}">\n      <notes><note id="n1">Of {escape(title)}</note>'
            '</notes>\n      <originalData><data id="d1">&lt;b&gt;</data><data id="d2">&lt;/b&gt;</data>'
            f"</originalData>\n      <segment id=\"s1\">\n        <source>{content}</source>\n"
            '      </segment>\n      <ignorable><source> </source></ignorable>\n      <segment id="s2">'
            f"\n        <source>{escape(title)}</source>\n      </segment>\n    </unit>\n")
    return second("".join(parts))


def states_2(texts):
    """Targets in all states, groups, what must not be translated."""
    parts = []
    for at, (title, (text, *_)) in enumerate(texts):
        text = escape(text)
        state = ["initial", "translated", "reviewed", "final"][at % 4]
        target = "" if state == "initial" else f"\n        <target>{text}</target>"
        off = ' translate="no"' if at % 5 == 4 else ""
        parts.append(f'    <group id="g{at}">\n      <unit id="u{at}"{off}>\n      <segment state='
                     f'"{state}">\n        <source>{text}</source>{target}\n      </segment>\n      '
                     "</unit>\n    </group>\n")
    return second("".join(parts))


def modules_2(texts):
    """Version 2.1 with the modules for glossaries, translation candidates and metadata."""
    names = "".join(f' xmlns:{short}="{CORE}{part}:2.0"' for short, part in
                    (("gls", "glossary"), ("mtc", "matches"), ("mda", "metadata")))
    parts = []
    for at, (title, (text, *_)) in enumerate(texts):
        text = escape(text)
        parts.append(
            f'    <unit id="{at}">\n      <mtc:matches><mtc:match ref="#{at}"><source>{text}</source>'
            f"<target>{text}</target></mtc:match></mtc:matches>\n      <gls:glossary><gls:glossEntry>"
            "<gls:term>right</gls:term><gls:translation>droit</gls:translation></gls:glossEntry>"
            '</gls:glossary>\n      <mda:metadata><mda:metaGroup><mda:meta type="a">b</mda:meta>'
            f"</mda:metaGroup></mda:metadata>\n      <segment>\n        <source>{text}</source>\n"
            "      </segment>\n    </unit>\n")
    return second("".join(parts), names, "2.1")


def make(folder, udhr):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    english = articles(udhr, "eng")
    makers = {"codes-1": codes_1, "states-1": states_1, "segmented-1": segmented_1,
              "codes-2": codes_2, "states-2": states_2, "modules-2": modules_2}
    for name, maker in makers.items():
        (folder / f"{name}.xlf").write_text(maker(english), encoding="utf-8")
    for name, store in (("toolkit-1", xliff.xlifffile()), ("toolkit-2", xliff2.Xliff2File())):
        for title, paragraphs in english:
            store.addsourceunit(paragraphs[0]).addnote(title)
        (folder / f"{name}.xlf").write_bytes(bytes(store))
    # On one line, with CDATA, comments and other quotes; and with a prefix for all names.
    tight = first("".join(f"<trans-unit id='{at}'><source><![CDATA[{text}]]> &#8212; "
                          f"<x id='1'/><!-- c --></source></trans-unit>"
                          for at, (_, (text, *_)) in enumerate(english))).replace("\n", "")
    (folder / "tight-1.xlf").write_text(tight, encoding="utf-8")
    named = second("".join(f'<x:unit id="{at}"><x:segment><x:source>{escape(text)}</x:source></x:segment>'
                           "</x:unit>\n" for at, (_, (text, *_)) in enumerate(english)))
    for name in ("xliff", "file"):
        named = named.replace(f"<{name}", f"<x:{name}").replace(f"</{name}", f"</x:{name}")
    (folder / "prefix-2.xlf").write_text(named.replace("xmlns=", "xmlns:x="), encoding="utf-8")
    return [(path, "en") for path in sorted(folder.glob("*.xlf"))]
