use super::*;

fn read(text: &str, format: &Format) -> (Termbase, Vec<Notice>) {
    Termbase::read(text.as_bytes(), format).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// `fr:terme!` for each term; `!` marks those forbidden, `*` those preferred,
/// `=` those whose case counts.
fn shown(termbase: &Termbase) -> Vec<String> {
    let term = |t: &Term| {
        let marks = [(t.forbidden, "!"), (t.preferred, "*"), (t.case_sensitive, "=")];
        let marks: String = marks.into_iter().filter(|m| m.0).map(|m| m.1).collect();
        format!("{}:{}{marks}", t.language, t.text)
    };
    let note = |c: &Concept| c.note.as_ref().map_or(String::new(), |note| format!(" ({note})"));
    (termbase.concepts.iter())
        .map(|c| c.terms.iter().map(term).collect::<Vec<_>>().join(" ") + &note(c))
        .collect()
}

fn pair() -> Option<(String, String)> {
    Some(("fr".to_owned(), "en".to_owned()))
}

#[test]
fn tables_are_read() {
    let check = |text: &str, format: Format, expected: &[&str]| {
        assert_eq!(shown(&read(text, &format).0), expected, "{text:?}");
    };
    check("fr,en\nloi,law\n", Format::Csv(None), &["fr:loi en:law"]);
    check("\u{feff}fr,en\r\nloi,law\r\n", Format::Csv(None), &["fr:loi en:law"]);
    check(
        "FR-fr;EN_GB;Note\nloi;law;of a state\n",
        Format::Csv(None),
        &["fr:loi en:law (of a state)"],
    );
    check(
        "\"a, b\",\"say \"\"x\"\"\nand y\"\n",
        Format::Csv(pair()),
        &["fr:a, b en:say \"x\" and y"],
    );
    check(
        "loi,law\ntraité,treaty\n",
        Format::Csv(pair()),
        &["fr:loi en:law", "fr:traité en:treaty"],
    );
    check(
        "loi\tlaw\n\ntraité\ttreaty",
        Format::Tsv(pair()),
        &["fr:loi en:law", "fr:traité en:treaty"],
    );
    // Nothing is quoted in TSV.
    check("\"loi\t\"law\n", Format::Tsv(pair()), &["fr:\"loi en:\"law"]);
    check(
        "fr,en,ar\nloi,law,قانون\ntraité,,معاهدة\n",
        Format::Csv(None),
        &["fr:loi en:law ar:قانون", "fr:traité ar:معاهدة"],
    );
    check(
        "fr,en,forbidden,case_sensitive\nloi,act,yes,\nONU,UN,,1\n",
        Format::Csv(None),
        &["fr:loi en:act!", "fr:ONU= en:UN="],
    );
    // As DeepL has them.
    check(
        "loi,law,fr,en\nGesetz,law,DE,EN\n",
        Format::Csv(None),
        &["fr:loi en:law", "de:Gesetz en:law"],
    );
}

#[test]
fn a_termbase_is_written_as_it_was() {
    let check = |text: &str| {
        let (termbase, _) = read(text, &Format::Csv(None));
        let csv = termbase.to_csv();
        let (again, _) = read(&csv, &Format::Csv(None));
        let (a, b) = (Glossary::new(&termbase, "fr", "en").0, Glossary::new(&again, "fr", "en").0);
        let plain = |glossary: &Glossary| -> Vec<_> {
            let pairs = glossary.pairs().iter();
            pairs.map(|p| Pair { line: 0, ..p.clone() }).collect()
        };
        assert_eq!(plain(&a), plain(&b), "{csv}");
        assert!(!plain(&a).is_empty());
    };
    check("fr,en,note\nloi,law,\"of \"\"a\"\", state\"\n");
    check("fr,en,forbidden,case_sensitive\nloi,law,,yes\nloi,act,yes,yes\n");
    check("fr,en,forbidden\nloi,law,\nrègle,law,fr\n");
}

#[test]
fn tables_that_cannot_be_read_say_where() {
    let check = |text: &str, format: Format, says: &str| {
        let error = Termbase::read(text.as_bytes(), &format).unwrap_err().to_string();
        assert!(error.contains(says), "{text:?}: {error}");
    };
    check("", Format::Csv(None), "no terms");
    check("fr,en\n", Format::Csv(None), "no terms");
    check("loi,law\n", Format::Csv(None), "line 1: the first row is not a header");
    check("a,b,c\n", Format::Csv(pair()), "line 1: 3 columns");
    check(
        "fr,en\nloi,law\na,b,c\n",
        Format::Csv(None),
        "line 3: 3 columns where the first row has 2",
    );
    check("fr,en,fr\na,b,c\n", Format::Csv(None), "names \"fr\" twice");
    check("fr,en,forbidden\na,b,perhaps\n", Format::Csv(None), "line 2: forbidden is \"perhaps\"");
    check(&format!("fr,en\na,{}\n", "b".repeat(401)), Format::Csv(None), "line 2: a term has 401");
    check("fr,en\na,b\u{7}\n", Format::Csv(None), "line 2: a term has control");
    check("<tbx>", Format::Tbx, "line 1: the file is not well-formed");
    check("<html/>", Format::Tbx, "the root is <html>");
    check(
        "<!DOCTYPE x [\n<!ENTITY a 'b'>]><tbx/>",
        Format::Tbx,
        "line 2: the file defines XML entities",
    );
    check(
        "<tbx><conceptEntry>\n<langSec><termSec><term>a</term></termSec></langSec></conceptEntry></tbx>",
        Format::Tbx,
        "line 2: <langSec> has no xml:lang",
    );
    check(
        "<tbx><conceptEntry><langSec xml:lang='fr'>\n<termSec/></langSec></conceptEntry></tbx>",
        Format::Tbx,
        "line 2: <termSec> has no <term>",
    );
    let error = Termbase::read(b"fr,en\nloi,l\xe4w", &Format::Csv(None)).unwrap_err().to_string();
    assert!(error.contains("not valid UTF-8 at byte 11, line 2"), "{error}");
}

#[test]
fn both_versions_of_tbx_are_read() {
    let old = r#"<?xml version="1.0"?>
<!DOCTYPE martif SYSTEM "TBXBasiccoreStructV02.dtd">
<martif type="TBX-Basic" xml:lang="en"><martifHeader/><text><body>
<termEntry id="c1"><descrip type="subjectField">law</descrip><note>of a state</note>
<langSet xml:lang="fr"><tig><term>loi</term></tig></langSet>
<langSet xml:lang="en-GB"><ntig><termGrp><term>act</term>
<termNote type="administrativeStatus">deprecatedTerm-admn-sts</termNote></termGrp></ntig>
<tig><term>law</term><termNote type="administrativeStatus">preferredTerm-admn-sts</termNote></tig>
</langSet></termEntry></body></text></martif>"#;
    let new = r#"<?xml version="1.0"?>
<tbx type="TBX-Basic" style="dct" xml:lang="en" xmlns="urn:iso:std:iso:30042:ed-2"
 xmlns:min="http://www.tbxinfo.net/ns/min" xmlns:basic="http://www.tbxinfo.net/ns/basic">
<text><body><conceptEntry id="c1"><note>of a state</note>
<langSec xml:lang="fr"><termSec><term>loi</term></termSec></langSec>
<langSec xml:lang="en"><termSec><term>act</term>
<min:administrativeStatus>deprecatedTerm-admn-sts</min:administrativeStatus></termSec>
<termSec><term>law</term><min:administrativeStatus>preferredTerm-admn-sts</min:administrativeStatus>
</termSec></langSec></conceptEntry></body></text></tbx>"#;
    for text in [old, new] {
        let (termbase, notices) = read(text, &Format::Tbx);
        assert_eq!(shown(&termbase), ["fr:loi en:law* en:act! (of a state)"]);
        assert_eq!(notices, []);
        assert_eq!(termbase.concepts[0].id.as_deref(), Some("c1"));
        assert_eq!(termbase.languages(), ["en", "fr"]);
    }
}

#[test]
fn what_is_odd_is_noticed() {
    let check = |text: &str, expected: &[(usize, NoticeKind)]| {
        let (termbase, mut notices) = read(text, &Format::Csv(None));
        notices.extend(Glossary::new(&termbase, "fr", "en").1);
        let found: Vec<_> = notices.iter().map(|notice| (notice.line, notice.kind)).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("fr,en\nloi,law\n", &[]);
    check("fr,en\nloi,law\nloi,law\n", &[(3, NoticeKind::Duplicate)]);
    check("fr,en\nloi,law\nLoi,act\n", &[(3, NoticeKind::Conflict)]);
    check("fr,en\nloi,law\ntraité,\n", &[(3, NoticeKind::Empty)]);
    check("fr,en,forbidden\nloi,law,\nloi,act,yes\n", &[]);
    let klingon = Some(("fr".to_owned(), "tlh".to_owned()));
    let (_, notices) = read("loi\tchut\nguerre\tveS\n", &Format::Tsv(klingon));
    let found: Vec<_> = notices.iter().map(|notice| (notice.line, notice.kind)).collect();
    assert_eq!(found, [(1, NoticeKind::Language)]);
}

#[test]
fn terms_are_checked_in_the_translation() {
    let table = "fr,en,forbidden,case_sensitive,note\n\
        Conseil de sécurité,Security Council,,yes,\n\
        résolution,resolution,,,\n\
        Conseil,Council,,,\n\
        État membre,Member State,,,\n\
        droits de l'homme,human rights,,,\n\
        droits de l'homme,rights of man,yes,,outdated\n\
        loi,act,yes,,\n";
    let (termbase, _) = read(table, &Format::Csv(None));
    let (glossary, notices) = Glossary::new(&termbase, "fr", "en");
    assert_eq!(notices, []);
    let check = |source: &str, target: &str, expected: &[(&str, &str)]| {
        let found = glossary.check(source, target);
        let short: Vec<_> = (found.iter())
            .map(|used| {
                let outcome = match &used.outcome {
                    Outcome::Used(spans) | Outcome::Fewer(spans) => {
                        assert!(spans.iter().all(|span| target.get(span.clone()).is_some()));
                        if matches!(used.outcome, Outcome::Used(_)) { "used" } else { "fewer" }
                    }
                    Outcome::Missed => "missed",
                    Outcome::Forbidden { .. } => "forbidden",
                };
                (&*used.source, outcome)
            })
            .collect();
        assert_eq!(short, expected, "{source}: {target}");
    };
    check(
        "Les résolutions du Conseil de sécurité",
        "The resolutions of the Security Council",
        &[("résolution", "used"), ("Conseil de sécurité", "used")],
    );
    check("Le Conseil de sécurité", "The security council", &[("Conseil de sécurité", "missed")]);
    check("Le Conseil", "The Security Council", &[("Conseil", "used")]);
    // Found inside of a longer term, it is not counted.
    check(
        "Le Conseil de sécurité et le Conseil",
        "The Security Council",
        &[("Conseil de sécurité", "used"), ("Conseil", "missed")],
    );
    check("Les États membres, les États membres", "All Member States", &[("État membre", "fewer")]);
    check("droits de l’homme", "the rights of man", &[("droits de l'homme", "forbidden")]);
    check("droits de l’homme", "a human right", &[("droits de l'homme", "used")]);
    check("la loi", "the act", &[("loi", "forbidden")]);
    check("la loi", "the law", &[("loi", "used")]);
    check("rien", "nothing", &[]);
    let missed = glossary.check("Le Conseil", "It");
    assert_eq!(missed[0].why(), "\"Conseil\" is to be \"Council\", which was not found");
    assert!(!missed[0].complies());
}

#[test]
fn many_terms_are_found_quickly() {
    let rows: String = (0..20_000).map(|n| format!("terme{n} numéro,term{n}\n")).collect();
    let (termbase, _) = read(&format!("fr,en\n{rows}"), &Format::Csv(None));
    let (glossary, _) = Glossary::new(&termbase, "fr", "en");
    let begun = std::time::Instant::now();
    let text = "Le terme77 numéro et le terme19999 numéro. ".repeat(20);
    assert_eq!(glossary.find(&text).len(), 40);
    println!("{} terms, {} bytes: {:?}", glossary.pairs().len(), text.len(), begun.elapsed());
    assert!(begun.elapsed().as_secs() < 60);
}
