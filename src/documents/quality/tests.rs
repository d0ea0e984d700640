use super::*;
use crate::documents::termbase::{Format, Termbase};

/// The kinds found in a text and its translation, given as `from>to`.
fn kinds(pair: &str, source: &str, target: &str) -> Vec<&'static str> {
    let (from, to) = pair.split_once('>').unwrap();
    let (source, target) = (Tagged::parse(source).unwrap(), Tagged::parse(target).unwrap());
    let checked = Checked {
        source: &source,
        target: &target,
        source_language: from,
        target_language: to,
        glossary: None,
        faults: &[],
        similarity: None,
    };
    let (findings, _) = check(checked);
    let (plain_source, plain_target) = (source.plain(), target.plain());
    for finding in &findings {
        assert!(finding.source_spans.iter().all(|s| plain_source.get(s.clone()).is_some()));
        assert!(finding.target_spans.iter().all(|s| plain_target.get(s.clone()).is_some()));
        assert!(!finding.explanation.is_empty());
    }
    findings.iter().map(|finding| finding.kind.name()).collect()
}

fn check_all(cases: &[(&str, &str, &str, &[&str])]) {
    for (pair, source, target, expected) in cases {
        assert_eq!(kinds(pair, source, target), *expected, "{pair}: {source} | {target}");
    }
}

#[test]
fn numbers_are_compared() {
    check_all(&[
        ("fr>en", "Il y a 15 articles.", "There are 15 articles.", &[]),
        ("fr>en", "Il y a 15 articles.", "There are 16 articles.", &["number", "number"]),
        ("fr>en", "Il y a 1 234,5 tonnes.", "There are 1,234.5 tonnes.", &[]),
        ("fr>en", "Il y a 1 234,5 tonnes.", "There are 1,234,5 tonnes.", &["number", "number"]),
        ("en>de", "It costs 1,234 euros.", "Es kostet 1.234 Euro.", &[]),
        ("en>de", "It costs 1,234 euros.", "Es kostet 1,234 Euro.", &["number_format"]),
        ("en>fr", "It rose by 2.5 per cent.", "Une hausse de 2,5 %.", &[]),
        ("en>fr", "It rose by 2.5 per cent.", "Une hausse de 25 %.", &["number", "number"]),
        ("en>ar", "It has 193 members.", "وهي تضم ١٩٣ عضوا.", &[]),
        ("en>ar", "It has 193 members.", "وهي تضم ١٩٤ عضوا.", &["number", "number"]),
        ("ar>en", "يضم ١٥ عضوا.", "It has 15 members.", &[]),
        ("hi>en", "इसके १५ सदस्य हैं।", "It has 15 members.", &[]),
        ("zh>en", "共有1500000人参加。", "In all 1.5 million people took part.", &[]),
        ("zh>en", "共有150万人参加。", "In all 1.5 million people took part.", &[]),
        ("en>zh", "Article three of the treaty", "条约第3条", &[]),
        ("fr>en", "les 3 articles du traité", "the three articles of the treaty", &[]),
        ("fr>en", "les 3 articles du traité", "the four articles of the treaty", &["number"]),
        ("en>fr", "in the 21st century", "au XXIe siècle", &[]),
        ("en>fi", "There are 7 members in it.", "Siinä on seitsemän jäsentä.", &[]),
        ("ru>en", "Население 1,5 млн человек.", "A population of 1.5 million people.", &[]),
    ]);
}

#[test]
fn dates_are_compared() {
    check_all(&[
        ("fr>en", "Fait le 12 mars 2020.", "Done on 12 March 2020.", &[]),
        ("fr>en", "Fait le 12 mars 2020.", "Done on 12 May 2020.", &["date", "date"]),
        ("fr>en", "Fait le 12 mars 2020.", "Done on 13 March 2020.", &["date", "date"]),
        ("en>de", "Done on March 12, 2020.", "Geschehen am 12. März 2020.", &[]),
        ("en>de", "Done on March 12, 2020.", "Geschehen am 12.3.2020.", &[]),
        ("en>ar", "Done on 12 March 2020.", "حرر في ١٢ آذار/مارس ٢٠٢٠.", &[]),
        ("en>zh", "Done on 12 March 2020.", "2020年3月12日订立。", &[]),
        ("en>zh", "Done on 12 March 2020.", "2020年3月13日订立。", &["date", "date"]),
        ("es>ru", "Hecho el 12 de marzo de 2020.", "Совершено 12 марта 2020 года.", &[]),
        ("en>hi", "Done on 12 March 2020.", "१२ मार्च २०२० को किया गया।", &[]),
        // Months of these are not known; the numbers are.
        ("en>fi", "Done on 12 March 2020.", "Tehty 12. maaliskuuta 2020.", &[]),
        ("en>fi", "Done on 12 March 2020.", "Tehty 13. maaliskuuta 2020.", &["number"]),
    ]);
}

#[test]
fn references_are_compared() {
    check_all(&[
        ("en>fr", "Recalling A/RES/70/1 in full", "Rappelant A/RES/70/1 en entier", &[]),
        (
            "en>fr",
            "Recalling A/RES/70/1 in full",
            "Rappelant A/RES/71/1 en entier",
            &["reference", "reference"],
        ),
        ("en>fr", "See OJ L 119 of the Union.", "Voir JO L 119 de l'Union.", &[]),
        (
            "en>fr",
            "See OJ L 119 of the Union.",
            "Voir JO L 191 de l'Union.",
            &["reference", "reference"],
        ),
        ("en>de", "Regulation (EU) 2016/679 applies", "Die Verordnung (EU) 2016/679 gilt", &[]),
        ("en>fr", "Directive 95/46/EC is repealed", "La directive 95/46/CE est abrogée", &[]),
        (
            "en>fr",
            "under Article 5, paragraph 3 (b)",
            "au titre de l'article 5, paragraphe 3 b)",
            &[],
        ),
        (
            "en>fr",
            "under Article 5, paragraph 3",
            "au titre de l'article 3, paragraphe 5",
            &["reference", "reference"],
        ),
        ("en>ru", "under Article 5, paragraph 3", "согласно статье 5, пункт 3", &[]),
        ("en>zh", "under Article 5 of it", "根据第5条", &[]),
        ("en>fr", "as in paragraph 3 (b) of it", "comme au paragraphe 3 (c)", &["reference"]),
        ("en>fr", "See https://un.org/a?b=1.", "Voir https://un.org/a?b=1.", &[]),
        ("en>fr", "See https://un.org/a?b=1.", "Voir https://un.org/a.", &["link", "link"]),
        ("en>fr", "Write to a.b@un.org today", "Écrivez à a.b@un.org", &[]),
    ]);
}

#[test]
fn texts_are_looked_at_as_wholes() {
    let article = "Tous les êtres humains naissent libres et égaux en dignité et en droits.";
    let english = "All human beings are born free and equal in dignity and rights.";
    check_all(&[
        ("fr>en", article, english, &[]),
        ("fr>en", article, article, &["untranslated"]),
        ("fr>en", article, "", &["empty"]),
        ("fr>en", article, "All.", &["length"]),
        ("fr>en", "Oui, monsieur le président.", &english.repeat(2), &["length"]),
        (
            "fr>en",
            article,
            "All human beings are born free and equal, free and equal, free and equal, free and equal.",
            &["repetition"],
        ),
        (
            "fr>en",
            article,
            "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
            &["language"],
        ),
        ("en>fr", "UNESCO", "UNESCO", &[]),
        ("en>zh", english, "人人生而自由，在尊严和权利上一律平等。", &[]),
        ("en>zh", english, "すべての人間は、生まれながらにして自由である。", &["language"]),
        (
            "zh>en",
            "人人生而自由，在尊严和权利上一律平等。",
            "人人生而自由，在尊严和权利上一律平等。",
            &["untranslated"],
        ),
        ("en>fr", "the envoy Okonkwo of Nigeria spoke", "l'envoyé du Nigéria a parlé", &["name"]),
        ("en>fr", "the envoy Okonkwo of Nigeria spoke", "l'envoyé Okonkwo du Nigéria a parlé", &[]),
        ("en>fr", "", "", &[]),
    ]);
}

#[test]
fn tags_are_compared() {
    check_all(&[
        ("en>fr", "a <1>bold</1> word", "un mot <1>gras</1>", &[]),
        ("en>fr", "a <1>bold</1> word", "un mot gras", &["tags"]),
        ("en>fr", "a bold word", "un mot <1>gras</1>", &["tags"]),
    ]);
    let source = Tagged::parse("a <1>bold</1> word").unwrap();
    let target = Tagged::parse("un mot <1>gras</1>").unwrap();
    let checked = Checked {
        source: &source,
        target: &target,
        source_language: "en",
        target_language: "fr",
        glossary: None,
        faults: &[TagFault::Missing(1)],
        similarity: Some(0.5),
    };
    let report = SegmentReport::new(checked);
    let kinds: Vec<_> = report.findings.iter().map(|f| (f.kind, f.severity)).collect();
    assert_eq!(kinds, [(Kind::Similarity, Severity::Major), (Kind::Tags, Severity::Minor)]);
    assert_eq!((report.score, report.weight), (70.0, 11));
}

#[test]
fn terms_are_part_of_the_report() {
    let table = "fr,en,forbidden\ntraité,treaty,\nloi,act,yes\n";
    let (termbase, _) = Termbase::read(table.as_bytes(), &Format::Csv(None)).unwrap();
    let (glossary, _) = Glossary::new(&termbase, "fr", "en");
    let check = |source: &str, target: &str, expected: &[Kind]| {
        let (source, target) = (Tagged::from(source), Tagged::from(target));
        let checked = Checked {
            source: &source,
            target: &target,
            source_language: "fr",
            target_language: "en",
            glossary: Some(&glossary),
            faults: &[],
            similarity: None,
        };
        let (findings, _) = super::check(checked);
        assert_eq!(findings.iter().map(|f| f.kind).collect::<Vec<_>>(), expected);
    };
    check("le traité et la loi", "the treaty and the law", &[]);
    check("le traité et la loi", "the pact and the law", &[Kind::Term]);
    check("le traité et la loi", "the treaty and the act", &[Kind::ForbiddenTerm]);
}

#[test]
fn the_worst_segments_come_first() {
    let segment = |score: f32, weight: usize, findings: usize| SegmentReport {
        findings: vec![Finding::new(Kind::Name, Severity::Minor, "x"); findings],
        terms: Vec::new(),
        score,
        similarity: None,
        weight,
        back: None,
    };
    let segments =
        [segment(95.0, 10, 1), segment(100.0, 30, 0), segment(40.0, 10, 1), segment(95.0, 50, 1)];
    let report = overall(&segments);
    assert_eq!(report.look_at, [2, 3, 0]);
    assert!((report.overall_score - 91.0).abs() < 0.01, "{}", report.overall_score);
    assert!((overall(&[]).overall_score - 100.0).abs() < 0.01);
}

#[test]
fn the_nearer_of_two_translations_has_the_better_score() {
    let (source, target) = (Tagged::from("la loi"), Tagged::from("the law"));
    let score = |similarity: Option<f32>| {
        let checked = Checked {
            source: &source,
            target: &target,
            source_language: "fr",
            target_language: "en",
            glossary: None,
            faults: &[],
            similarity,
        };
        let whole = SegmentReport::new(checked).score;
        let mut later = SegmentReport::new(Checked { similarity: None, ..checked });
        similarity.into_iter().for_each(|similarity| later.add_similarity(similarity));
        assert_eq!(later.score, whole, "{similarity:?}");
        whole
    };
    assert_eq!([score(None), score(Some(0.97)), score(Some(0.95))], [100.0; 3]);
    let steps = [0.94, 0.9, 0.85, 0.81].map(|similarity| score(Some(similarity)));
    assert!(steps.is_sorted_by(|a, b| a > b) && steps[3] > 75.0, "{steps:?}");
    assert_eq!([score(Some(0.79)), score(Some(0.2))], [75.0; 2]);
}
