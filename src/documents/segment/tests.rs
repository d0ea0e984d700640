//! Sentences by language, as tables; that joining undoes cutting, as a
//! property; and the Universal Declaration of Human Rights in the languages of
//! the United Nations, the European Union, the African Union and India.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::documents::tagged::repair;

fn sentences(text: &str, language: &str) -> Vec<String> {
    let segments = Segments::of(&Tagged::from(text), Some(language));
    segments.texts().iter().map(Tagged::plain).collect()
}

/// Sentences are divided by `|` here.
#[test]
fn sentences_end_where_readers_see_it() {
    let check = |language: &str, expected: &str| {
        let text = expected.replace('|', "");
        let found = sentences(&text, language);
        let expected: Vec<&str> = expected.split('|').map(str::trim).collect();
        assert_eq!(found, expected, "{language}");
    };
    check("en", "Recalls Art. 5 of the Charter. |It enters into force.");
    check("en", "See No. 12 and Dr. Smith. |J. R. R. Tolkien wrote it, i.e. Nobody else.");
    check("en", "1. The Parties agree. |2. They act.");
    check("en", "(a) The first. |(b) The second.");
    check("en", "IV. Final provisions. |2.1. Scope. |It is wide.");
    check(
        "en",
        "Adopted resolution A/RES/70/1. |The Assembly took note of A/C.3/70/L.5/Rev.1. |Done.",
    );
    check("en", "He said: “It is done.” |They left. |(It was late.) |Then what?! |Nothing.");
    check("en", "Paras. 3 and 4 apply. |Version 2.5 is out... maybe. |Yes.");
    check("en", "The U.S. Senate voted. |In 1998. |The end.");
    check("fr", "Voir l'art. 12, al. 3. |M. Dupont a dit « Non. » |Il est parti !");
    check("fr", "C’est, p. ex. Paris, c.-à-d. Rien. |Fin.");
    check("es", "Véase la pág. 3, p. ej. Madrid. |¿Qué dice la Sra. García? |¡Nada!");
    check("pt", "Ver n.º 3 e art. 5. |Fim.");
    check(
        "de",
        "Das gilt z. B. Montag, d. h. Am 3. Oktober 1990. |Im Jahr 1998. |Vgl. Abs. 2 Nr. 4. |Ende.",
    );
    check("ru", "Согласно ст. 5, т. е. Уставу ООН. |Это п. 3. |Конец.");
    check("ru", "А. С. Пушкин писал. |Он умер.");
    check("cs", "Podle čl. 5 odst. 2 písm. a) platí. |Dne 3. října. |Konec.");
    check("el", "Τι είναι αυτό; |Είναι π.χ. Νόμος. |Τέλος.");
    check("hi", "सभी मनुष्य स्वतन्त्र हैं। |उन्हें बुद्धि मिली है। |डॉ. शर्मा आए।");
    check("ne", "सबै मानिस स्वतन्त्र छन् । |उनीहरू समान छन् ।");
    check("ar", "ما هي حقوق الإنسان؟ |يولد جميع الناس أحراراً. |قال د. محمد ذلك.");
    check("ur", "تمام انسان آزاد ہیں۔ |کیا یہ درست ہے؟ |ہاں۔");
    check("zh", "人人生而自由。|他们赋有理性！|（真的？）|“是的。”|好");
    check("ja", "すべての人間は自由である。|「はい。」|そうです。");
    check("am", "የሰው ልጅ ነጻ ነው። |እኩል ነው፧ |አዎ።");
    check("hy", "Բոլոր մարդիկ ազատ են։ |Նրանք հավասար են։");
    check("my", "လူတိုင်းသည် လွတ်လပ်သည်။ |တူညီသည်။");
}

#[test]
fn tags_are_cut_and_put_together() {
    let check = |marked: &str, expected: &[&str], changed: &[&str], joined: &str| {
        let source = read(marked);
        let segments = Segments::of(&source, Some("en"));
        let found: Vec<String> = segments.texts().iter().map(Tagged::marked).collect();
        assert_eq!(found, expected, "{marked}");
        assert_eq!(segments.join(segments.texts()), source);
        let texts: Vec<Tagged> = changed
            .iter()
            .zip(segments.texts())
            .map(|(text, source)| Tagged::read_marked(text, source).unwrap())
            .collect();
        assert_eq!(segments.join(&texts).marked(), joined);
    };
    check(
        "<1>One. Two.</1> Three.<2/>",
        &["<1>One.</1>", "<1>Two.</1>", "Three.<1/>"],
        &["<1>Un.</1>", "<1>Deux.</1>", "Trois.<1/>"],
        "<1>Un. Deux.</1> Trois.<2/>",
    );
    check(
        "An <1>ox. <2>Cats</2> do</1> eat. <3>Five</3>.<4/> Go.",
        &["An <1>ox.</1>", "<1><2>Cats</2> do</1> eat.", "<1>Five</1>.<2/>", "Go."],
        &["<1>Ox</1> an.", "Eat <1>do <2>cats</2></1>.", "<2/><1>Five</1>!", "Go."],
        "<1>Ox an. Eat do <2>cats</2></1>. <4/><3>Five</3>! Go.",
    );
    check("  One.  Two. ", &["One.", "Two."], &["1.", "2."], "  1.  2. ");
    check("", &[], &[], "");
    check("<1/> ", &["<1/>"], &["<1/>"], "<1/> ");
}

/// A text of its marks; the number of a tag does not matter here.
fn read(marked: &str) -> Tagged {
    let numbers = (1..=9_u32).filter(|n| marked.contains(&format!("<{n}")));
    let source = numbers.flat_map(|n| {
        if marked.contains(&format!("<{n}/>")) {
            vec![Piece::Empty(n)]
        } else {
            vec![Piece::Open(n), Piece::Close(n)]
        }
    });
    let flat = Tagged::new(source.collect()).unwrap();
    // Nesting is told by the text itself: it is well-formed or the test is wrong.
    Tagged::read_marked(marked, &flat).unwrap_or_else(|_| {
        let nested = Tagged::new(vec![
            Piece::Open(1),
            Piece::Open(2),
            Piece::Close(2),
            Piece::Close(1),
            Piece::Open(3),
            Piece::Close(3),
            Piece::Empty(4),
        ]);
        Tagged::read_marked(marked, &nested.unwrap()).expect("a text of these tags")
    })
}

/// Sentences with tags between and across them.
fn tagged() -> impl Strategy<Value = Tagged> {
    let part = prop::sample::select(vec![
        "One. ",
        "Two.",
        " ",
        "Three",
        "Dr. ",
        "四。",
        "五",
        "هل؟ ",
        "क।",
        "\n",
        "e\u{301}. ",
        "(a) ",
        "<1>",
        "</1>",
        "<2>",
        "</2>",
        "<3/>",
        "<4>",
        "</4>",
        "“Q.” ",
    ]);
    let shape = read("<1><2></2></1><3></3><4/>");
    let shapes = vec![shape, read("<1></1><2></2><3/><4></4>")];
    (prop::collection::vec(part, 0..24), prop::sample::select(shapes))
        .prop_map(|(parts, shape)| repair(&parts.concat(), &shape).0)
}

proptest! {
    #[test]
    fn joining_undoes_cutting(text in tagged()) {
        let segments = Segments::of(&text, None);
        prop_assert_eq!(segments.join(segments.texts()), text);
        for segment in segments.texts() {
            let numbers: Vec<u32> = segment.pieces().iter().filter_map(|piece| match piece {
                Piece::Open(n) | Piece::Empty(n) => Some(*n),
                _ => None,
            }).collect();
            prop_assert!(numbers.iter().copied().eq(1..=numbers.len() as u32));
        }
    }

    /// Whatever the sentences become, the joined text has the unit's tags.
    #[test]
    fn joined_texts_have_their_tags(text in tagged(), words in "[a-z ]{0,12}") {
        let segments = Segments::of(&text, None);
        let changed: Vec<Tagged> =
            segments.texts().iter().map(|segment| repair(&words, segment).0).collect();
        let joined = segments.join(&changed);
        prop_assert_eq!(joined.faults(&text), vec![]);
    }
}

#[test]
fn declaration_of_human_rights() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/documents/udhr.json");
    let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let languages = file.as_object().unwrap();
    assert!(languages.len() >= 40, "{}", languages.len());
    let mut far = Vec::new();
    for (language, paragraphs) in languages {
        let (mut count, mut marks) = (0, 0);
        for paragraph in paragraphs.as_array().unwrap() {
            let paragraph = paragraph.as_str().unwrap();
            let segments = Segments::of(&Tagged::from(paragraph), Some(language));
            assert_eq!(segments.join(segments.texts()).plain(), paragraph);
            count += segments.texts().len();
            marks += full_stops(paragraph);
        }
        // Hungarian has a full stop too many, within a sentence.
        if count.abs_diff(marks) > usize::from(language == "hu") {
            far.push(format!("{language}: {count} sentences, {marks} full stops"));
        }
    }
    assert!(far.is_empty(), "{far:?}");
}

/// Marks that end a sentence here: these texts have no abbreviations.
fn full_stops(paragraph: &str) -> usize {
    let mut count = 0;
    let text = paragraph.replace("፡፡", "።");
    let mut characters = text.trim_end_matches('፡').chars().peekable();
    let mut last = ' ';
    while let Some(character) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        let ends = ".!?।॥؟۔".contains(character) && next.is_whitespace();
        count += usize::from(ends || "。።".contains(character));
        last = character;
    }
    count + usize::from(!".!?।॥።؟۔。".contains(last))
}
