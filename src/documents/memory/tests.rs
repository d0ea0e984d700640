use super::*;

fn index(pairs: &[(&str, &str)]) -> Index {
    let mut index = Index::default();
    for (at, (source, target)) in pairs.iter().enumerate() {
        index.add(source, target, at as u64);
    }
    index
}

#[test]
fn the_same_text_is_found() {
    let index = index(&[("La  loi.", "The law."), ("La loi.", "The act."), ("é", "e")]);
    let check = |text: &str, expected: Option<&str>| {
        assert_eq!(index.exact(text).map(|m| m.target).as_deref(), expected, "{text}");
    };
    // The newest goes first.
    check(" La loi.\n", Some("The act."));
    check("la loi.", None);
    check("e\u{301}", Some("e"));
    check("", None);
    assert_eq!(index.len(), 3);
}

#[test]
fn near_texts_are_found() {
    let index = index(&[
        ("The Council adopted the resolution.", "a"),
        ("The Council adopted the resolution on trade.", "b"),
        ("The Assembly rejected the draft.", "c"),
        ("安全理事会通过了决议", "d"),
        ("A <1>bold</1> word", "e"),
        ("no", "f"),
    ]);
    let check = |text: &str, threshold: f32, expected: &[(&str, f32)]| {
        let found: Vec<_> = (index.search(text, threshold, 2).into_iter())
            .map(|m| (m.target, (m.score * 1000.0).round() / 1000.0))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(t, s)| ((*t).to_owned(), *s)).collect();
        assert_eq!(found, expected, "{text}");
    };
    // Six tokens, the stop among them; two more make 6 of 8.
    check("The Council adopted the resolution.", 0.7, &[("a", 1.0), ("b", 0.75)]);
    check("the council adopted the resolution.", 0.7, &[("a", 0.99), ("b", 0.75)]);
    check("The Council adopted a resolution.", 0.7, &[("a", 0.833)]);
    check("The Council rejected a decision.", 0.7, &[]);
    // Equally near; the newer first.
    check("The Council rejected a decision.", 0.5, &[("c", 0.5), ("a", 0.5)]);
    check("安全理事会通过决议", 0.7, &[("d", 0.9)]);
    check("A <1>bold</1> word", 0.9, &[("e", 1.0)]);
    check("A <2>bold</2> word", 0.5, &[("e", 0.6)]);
    check("entirely other words", 0.5, &[]);
    check("", 0.5, &[]);
    check("no", 1.0, &[("f", 1.0)]);
}

/// What reading all of them finds, the lists of rare tokens find too.
#[test]
fn no_near_text_is_overlooked() {
    let mut state = 7u64;
    let mut draw = |n: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % n
    };
    let texts: Vec<String> = (0..400)
        .map(|_| {
            let length = 3 + draw(8);
            (0..length).map(|_| format!("w{}", draw(12))).collect::<Vec<_>>().join(" ")
        })
        .collect();
    let mut index = Index::default();
    for text in &texts {
        index.add(text, text, 0);
    }
    for text in texts.iter().take(60) {
        for threshold in [0.3, 0.5, 0.75, 1.0] {
            let mut found: Vec<String> =
                index.search(text, threshold, 1000).into_iter().map(|m| m.source).collect();
            let tokens = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let near = |other: &&String| {
                let (a, b) = (tokens(text), tokens(other));
                let mut table = vec![vec![0usize; b.len() + 1]; a.len() + 1];
                for i in 0..=a.len() {
                    for j in 0..=b.len() {
                        table[i][j] = match (i, j) {
                            (0, j) => j,
                            (i, 0) => i,
                            (i, j) => (table[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]))
                                .min(table[i - 1][j] + 1)
                                .min(table[i][j - 1] + 1),
                        };
                    }
                }
                let longer = a.len().max(b.len()) as f32;
                1.0 - table[a.len()][b.len()] as f32 / longer >= threshold - 1e-6
            };
            let mut expected: Vec<String> = texts.iter().filter(near).cloned().collect();
            expected.sort_unstable();
            expected.dedup();
            found.sort_unstable();
            assert_eq!(found, expected, "{text} at {threshold}");
        }
    }
}

#[test]
fn a_hundred_thousand_units_are_searched_quickly() {
    let words: Vec<String> =
        (0..6000u64).map(|n| format!("{:x}", n * 2_654_435_761 % 0xff_ffff)).collect();
    let mut state = 1u64;
    let mut draw = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // As in texts, a few words are many of all.
        let uniform = ((state >> 33) % 1_000_000) as f64 / 1e6;
        &words[(uniform.powi(4) * words.len() as f64) as usize]
    };
    let texts: Vec<String> = (0..100_000)
        .map(|n| (0..8 + n % 25).map(|_| draw().as_str()).collect::<Vec<_>>().join(" "))
        .collect();
    let begun = std::time::Instant::now();
    let mut index = Index::default();
    for text in &texts {
        index.add(text, text, 0);
    }
    println!("{} units indexed in {:?}", index.len(), begun.elapsed());
    let mut times = Vec::new();
    for text in texts.iter().step_by(199) {
        let changed = format!("{text} more");
        let begun = std::time::Instant::now();
        let found = index.search(&changed, 0.7, 3);
        times.push(begun.elapsed());
        assert_eq!(&found[0].source, text);
    }
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100];
    println!("search: median {:?}, 95% {:?}, longest {:?}", at(50), at(95), at(99));
    assert!(at(50).as_millis() < 100, "{:?}", at(50));
}

const FILE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE tmx SYSTEM "tmx14.dtd">
<tmx version="1.4">
<header creationtool="x" creationtoolversion="1" segtype="sentence" o-tmf="x" adminlang="en"
 srclang="fr" datatype="plaintext"/>
<body>
<tu tuid="1" changedate="20260131T235959Z"><note>from the charter</note>
<tuv xml:lang="FR-fr"><seg>Le <bpt i="1" x="1">&lt;b></bpt>traité<ept i="1">&lt;/b></ept> &amp; la loi<ph x="2"/>.</seg></tuv>
<tuv xml:lang="en-GB"><seg>The <hi x="1">treaty</hi> &amp; the law<it pos="begin" x="2">[fn]</it>.</seg></tuv>
</tu>
<tu><tuv xml:lang="fr"><seg>seul</seg></tuv></tu>
<tu><tuv xml:lang="fr"><seg>a <bpt i="1"/>b</seg></tuv><tuv xml:lang="en"><seg>a</seg></tuv></tu>
</body></tmx>"#;

#[test]
fn tmx_is_read_and_written() {
    let (units, left_out) = read(FILE.as_bytes()).unwrap();
    assert_eq!(units.len(), 1);
    let unit = &units[0];
    assert_eq!(unit.text("fr"), Some("Le <1>traité</1> & la loi<2/>."));
    assert_eq!(unit.text("en"), Some("The <1>treaty</1> & the law<2/>."));
    assert_eq!((unit.changed, unit.note.as_deref()), (1_769_903_999, Some("from the charter")));
    let lines: Vec<usize> = left_out.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [11, 12, 12], "{left_out:?}");

    let odd =
        Unit::new(("fr", "a < b & <9/> \"c\"".into()), ("ar", "أ\n<1><2>ب</2></1>".into()), 0);
    let units = [unit.clone(), odd];
    let (again, left_out) = read(write(&units, "fr").as_bytes()).unwrap();
    assert_eq!(again, units);
    assert_eq!(left_out, []);
}

#[test]
fn a_file_that_is_no_tmx_is_refused() {
    let check = |file: &str, line: usize, says: &str| {
        let error = read(file.as_bytes()).unwrap_err();
        assert!(error.line == line && error.message.contains(says), "{file}: {error}");
    };
    check("", 1, "not well-formed");
    check("<tbx/>", 1, "the root is <tbx>");
    check("<tmx><body>\n<tu><tuv><seg>a</seg></tuv></tu></body></tmx>", 2, "no xml:lang");
    check("<tmx><body>\n<tu><tuv xml:lang='fr'/></tu></body></tmx>", 2, "no <seg>");
    check("<tmx><body/></tmx>", 1, "no units");
    check("<!DOCTYPE tmx [<!ENTITY a 'b'>]><tmx/>", 1, "entities");
    check("<tmx><body><tu>\n</body></tmx>", 2, "not well-formed");
}
