//! Tables for what can be said in one line, properties for the rest.

use proptest::prelude::*;

use super::*;

/// Words as formats give them: scripts of both directions, combining marks, and
/// what looks like tags and escapes.
fn words() -> impl Strategy<Value = String> {
    let stretches = prop::sample::select(vec![
        "The Parties ",
        "shall ",
        "cooperate.",
        " ",
        "",
        "<",
        "<1>",
        "</ 2>",
        "< 3 / >",
        "&lt;",
        "&amp;",
        "&",
        "&amp;lt;",
        "a < b",
        "R&D",
        "الأطراف ",
        "تتعاون؟",
        "שלום",
        "e\u{301}te\u{301} ",
        "कि\u{93c}या ",
        "自由。",
        "ภาษาไทย",
        "👩\u{200d}👩\u{200d}👧",
        "\u{200f}",
        "\u{a0}",
        "12",
        "A/RES/70/1",
        "<99999999>",
    ]);
    prop::collection::vec(stretches, 0..4).prop_map(|parts| parts.concat())
}

/// A text with tags, nested up to three deep and numbered in order.
fn tagged() -> impl Strategy<Value = Tagged> {
    #[derive(Clone, Debug)]
    enum Tree {
        Words(String),
        Empty,
        Pair(Vec<Tree>),
    }
    fn write(trees: Vec<Tree>, next: &mut u32, pieces: &mut Vec<Piece>) {
        for tree in trees {
            match tree {
                Tree::Words(words) => pieces.push(Piece::Words(words)),
                Tree::Empty => {
                    *next += 1;
                    pieces.push(Piece::Empty(*next));
                }
                Tree::Pair(within) => {
                    *next += 1;
                    let number = *next;
                    pieces.push(Piece::Open(number));
                    write(within, next, pieces);
                    pieces.push(Piece::Close(number));
                }
            }
        }
    }
    let leaf = prop_oneof![3 => words().prop_map(Tree::Words), 1 => Just(Tree::Empty)];
    let tree = leaf
        .prop_recursive(3, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Tree::Pair));
    prop::collection::vec(tree, 0..6).prop_map(|trees| {
        let mut pieces = Vec::new();
        write(trees, &mut 0, &mut pieces);
        Tagged::new(pieces).expect("made well-formed")
    })
}

/// What a model might make of a text: its marks and words, shuffled or lost.
fn damaged(text: &Tagged) -> impl Strategy<Value = String> + use<> {
    let parts: Vec<String> =
        text.pieces().iter().map(|p| marks::write(std::slice::from_ref(p))).collect();
    let extra = prop::collection::vec(
        prop::sample::select(vec!["<1>", "</1>", "<2/>", "<7>", "</ 2 >", "<", "word ", "كلمة "]),
        0..4,
    );
    (prop::sample::subsequence(parts.clone(), 0..=parts.len()).prop_shuffle(), extra).prop_map(
        |(mut kept, extra)| {
            kept.extend(extra.into_iter().map(str::to_owned));
            kept.concat()
        },
    )
}

proptest! {
    #[test]
    fn marks_are_read_back(text in tagged()) {
        prop_assert_eq!(Tagged::read_marked(&text.marked(), &text), Ok(text.clone()));
        prop_assert_eq!(repair(&text.marked(), &text), (text, vec![]));
    }

    #[test]
    fn repair_restores_every_tag(
        (source, marked) in tagged().prop_flat_map(|t| (Just(t.clone()), damaged(&t)))
    ) {
        let (text, faults) = repair(&marked, &source);
        prop_assert_eq!(text.faults(&source), vec![]);
        let exact = Tagged::read_marked(&marked, &source);
        let spacing = if exact.is_ok() { marks::Spacing::Exact } else { marks::Spacing::Loose };
        let words: String = marks::read(&marked, spacing)
            .into_iter()
            .filter_map(|p| if let Piece::Words(words) = p { Some(words) } else { None })
            .collect();
        prop_assert_eq!(text.plain(), words);
        if let Ok(read) = exact {
            prop_assert_eq!((text, faults), (read, vec![]));
        }
    }

    #[test]
    fn tags_that_are_not_seen_come_back(source in tagged(), target in words()) {
        let unmarked = Unmarked::of(&source);
        for answer in [target, unmarked.text()] {
            let text = unmarked.back(&answer).0;
            prop_assert_eq!(text.faults(&source), vec![]);
        }
    }

    /// Tags that are put back stand between words, so never before a combining
    /// mark or within a character made of several.
    #[test]
    fn words_are_not_cut(source in tagged(), target in words()) {
        let (text, _) = repair(&Tagged::from(target.as_str()).marked(), &source);
        let segmenter = icu_segmenter::GraphemeClusterSegmenter::new();
        let whole: Vec<usize> = segmenter.segment_str(&target).collect();
        let mut at = 0;
        for piece in text.pieces() {
            if let Piece::Words(words) = piece {
                at += words.len();
                prop_assert!(whole.contains(&at), "{:?} is cut at {}", target, at);
            }
        }
    }
}

#[test]
fn well_formed_or_refused() {
    use Piece::{Close, Empty, Open};
    let check = |pieces: Vec<Piece>, expected: Option<TagFault>| {
        assert_eq!(Tagged::new(pieces.clone()).err(), expected, "{pieces:?}");
    };
    check(vec![], None);
    check(vec![Open(1), Empty(2), Close(1)], None);
    check(vec![Open(1), Close(1), Open(1), Close(1)], Some(TagFault::Repeated(1)));
    check(vec![Empty(1), Empty(1)], Some(TagFault::Repeated(1)));
    check(vec![Open(1), Open(2), Close(1), Close(2)], Some(TagFault::Crossed(1)));
    check(vec![Close(1)], Some(TagFault::Unopened(1)));
    check(vec![Open(1)], Some(TagFault::Unclosed(1)));
}

#[test]
fn only_what_reads_as_a_tag_is_escaped() {
    let check = |plain: &str, marked: &str| assert_eq!(Tagged::from(plain).marked(), marked);
    check("a < 5 & b > 3", "a < 5 & b > 3");
    check("R&D, AT&amp;T", "R&D, AT&amp;amp;T");
    check("see <1>", "see &lt;1>");
    check("<b>, < 12 />", "<b>, &lt; 12 />");
    check("&lt;1>", "&amp;lt;1>");
}

/// The source's tags, what came back, what is made of it, and what was wrong.
#[test]
fn broken_tags_find_their_place() {
    let read = |marked: &str| {
        Tagged::new(marks::read(marked, marks::Spacing::Exact)).expect("a well-formed text")
    };
    let check = |source: &str, marked: &str, expected: &str, faults: &[TagFault]| {
        let (text, found) = repair(marked, &read(source));
        assert_eq!((text.marked().as_str(), found.as_slice()), (expected, faults), "{marked}");
    };
    use TagFault::*;
    // The same words, in another place.
    check(
        "Voir <1>A/RES/70/1</1> ici.",
        "See here A/RES/70/1.",
        "See here <1>A/RES/70/1</1>.",
        &[Missing(1)],
    );
    // In proportion, at the border of a word.
    check(
        "Les <1>Parties</1> coopèrent.",
        "The Parties cooperate.",
        "The <1>Parties</1> cooperate.",
        &[Missing(1)],
    );
    check("Un mot<1/>.", "One word.", "One word<1/>.", &[Missing(1)]);
    // Between a space and a mark, such as a date at the end.
    check(
        "Fait à Genève, le <1/>.",
        "Done at Geneva on .",
        "Done at Geneva on <1/>.",
        &[Missing(1)],
    );
    check("Le <1/>, ici.", "On here", "On <1/>here", &[Missing(1)]);
    check(
        "avec <1/>, <2/> ou <3/> ici",
        "with ,  or  here",
        "with <1/>, <2/> or <3/> here",
        &[Missing(1), Missing(2), Missing(3)],
    );
    check("Fin.<1/>", "تعاون الأطراف.", "تعاون الأطراف.<1/>", &[Missing(1)]);
    check("<1>自由</1>。", "freedom.", "<1>freedom</1>.", &[Missing(1)]);
    // One half is known.
    check("<1>Tout</1> droit", "<1>Every right", "<1>Every</1> right", &[Unclosed(1)]);
    check("<1>Tout</1> droit", "Every</1> right", "<1>Every</1> right", &[Unopened(1)]);
    // Spaces are accepted.
    check("<1>a</1><2/>", "< 1 >b</ 1 >< 2 />", "<1>b</1><2/>", &[]);
    check("<1>a</1>", "<1>b</1> <3>c</3>", "<1>b</1> c", &[Unknown(3)]);
    check("<1>a</1>", "<1>b</1> <1>c</1>", "<1>b</1> c", &[Repeated(1), Unopened(1)]);
    check("<1>a</1> b", "<1/>x y", "<1>x</1> y", &[OtherKind(1)]);
    check("<1>a <2>b</2></1>", "<1>x</1> <2>y</2>", "<1><2>x</2></1> y", &[Moved(2)]);
    check(
        "<1>a</1> <2>b</2>",
        "<1>x <2>y</1> z</2>",
        "<1>x y</1><2> z</2>",
        &[Moved(2), Crossed(1)],
    );
    check("", "<1>x", "x", &[Unknown(1)]);
    check("<1></1><2/>", "", "<1></1><2/>", &[Missing(1), Missing(2)]);
}

/// What a model that sees no tags is given, and what becomes of the spaces that it was given.
#[test]
fn words_that_only_a_tag_parts_are_parted() {
    let check = |source: &str, given: &str, answer: &str, expected: &str| {
        let source = Tagged::parse(source).unwrap();
        let unmarked = Unmarked::of(&source);
        assert_eq!(unmarked.text(), given);
        let text = unmarked.back(answer).0;
        assert_eq!(text.marked(), expected, "{given}");
        assert_eq!(text.faults(&source), vec![]);
    };
    check(
        "Nations Unies<1/>Déclaration",
        "Nations Unies Déclaration",
        "United Nations Declaration",
        "United Nations<1/>Declaration",
    );
    check("a<1/>, <2/>b <3/> c<4/>", "a, b  c", "x, y  z", "x<1/>, <2/>y <3/> z<4/>");
    check("<1>Titre</1><2/><3/>Texte", "Titre Texte", "Title Text", "<1>Title</1><2/><3/>Text");
    check("<1>a<2/>b</1>", "a b", "x y", "<1>x<2/>y</1>");
    check("a<1/>b", "a b", "", "<1/>");
}

#[test]
fn numbers_of_notes_are_not_given_and_others_are() {
    let check = |source: &str, given: &str| {
        let source = Tagged::parse(source).unwrap();
        assert_eq!(Unmarked::of(&source).text(), given);
    };
    check("The Council<1>12</1> met.", "The Council met.");
    check("理事会<1>[12]</1>。", "理事会。");
    check("总数为<1>500</1>。", "总数为500。");
    check("价格：<1>500</1>。", "价格：500。");
    check("Total:<1>500</1> euros", "Total:500 euros");
    check("<1>🅰</1> <2>🅱</2>", "🅰 🅱");
}

/// What a model that sees no tags makes of a text, where the tags go in it, and which of them are
/// guesses.
#[test]
fn tags_that_are_not_seen_find_their_place() {
    let check = |source: &str, given: &str, answer: &str, expected: &str, guesses: &[u32]| {
        let source = Tagged::parse(source).unwrap();
        let unmarked = Unmarked::of(&source);
        assert_eq!(unmarked.text(), given);
        let (text, guessed) = unmarked.back(answer);
        assert_eq!((text.marked().as_str(), &*guessed), (expected, guesses), "{given}");
        assert_eq!(text.faults(&source), vec![]);
    };
    // At the ends, as they were there.
    check("<1/>All are free.<2/>", "All are free.", "Tous.", "<1/>Tous.<2/>", &[]);
    check("<1/> All <2/>", " All ", "Tous", "<1/> Tous <2/>", &[]);
    check("<1>All are free.</1>", "All are free.", "Tous.", "<1>Tous.</1>", &[]);
    // Beside the same mark, number or name.
    check(
        "Born free<1/>, and equal in dignity<2/>.",
        "Born free, and equal in dignity.",
        "Libres de naissance, et égaux en dignité.",
        "Libres de naissance<1/>, et égaux en dignité<2/>.",
        &[1, 2],
    );
    check(
        "Adopted in Paris, in 1948 <1/>by all of the members",
        "Adopted in Paris, in 1948 by all of the members",
        "Adoptée à Paris en 1948 par tous",
        "Adoptée à Paris en 1948 <1/>par tous",
        &[1],
    );
    check(
        "see <1>A/RES/70/1</1><2/> of it",
        "see A/RES/70/1 of it",
        "A/RES/70/1, voyez",
        "<1>A/RES/70/1</1><2/>, voyez",
        &[],
    );
    check(
        "H<1>2</1>O is clear",
        "H2O is clear",
        "Cet H2O est clair",
        "Cet H<1>2</1>O est clair",
        &[],
    );
    // The end of a line.
    check(
        "All human beings are born free<1/>and equal in dignity and rights.",
        "All human beings are born free and equal in dignity and rights.",
        "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
        "Tous les êtres humains naissent<1/>libres et égaux en dignité et en droits.",
        &[1],
    );
    check(
        "- Are you free?<1/>- No.",
        "- Are you free? - No.",
        "– Tu es libre ? – Non.",
        "– Tu es libre ?<1/>– Non.",
        &[],
    );
    check("“Yes.”<1/>“No.”", "“Yes.” “No.”", "« Oui. » « Non. »", "« Oui. »<1/>« Non. »", &[]);
    check(
        "人人生而自由<1/>在尊严上平等",
        "人人生而自由 在尊严上平等",
        "Free and equal",
        "Free<1/>and equal",
        &[1],
    );
    check("a<1/><2/>b", "a b", "x y", "x<1/><2/>y", &[1, 2]);
    check("say \"<1/>\" twice", "say \"\" twice", "dites « » encore", "dites «<1/> » encore", &[]);
    // The model writes one space where two were, or none.
    check(
        "Run <1/> to begin",
        "Run  to begin",
        "Lancez pour commencer",
        "Lancez <1/> pour commencer",
        &[1],
    );
    check("Run <1/>, then", "Run , then", "Lancez, puis", "Lancez <1/>, puis", &[1]);
    check("Run <1/> <2/> now", "Run   now", "Lancez ici", "Lancez <1/> <2/> ici", &[1, 2]);
    check("Run <1/> now", "Run  now", "现在运行", "现在<1/>运行", &[1]);
    // Pairs that stand for themselves.
    check("Text.<1>↩\u{fe0e}</1>", "Text.", "Texte.", "Texte.<1>↩\u{fe0e}</1>", &[]);
    check("Title <1><2>¶</2></1>", "Title ", "Titre", "Titre <1><2>¶</2></1>", &[]);
    check(
        "the rights<1><2>1</2></1> of all,<3>[2]</3> and",
        "the rights of all, and",
        "les droits de tous, et",
        "les droits<1><2>1</2></1> de tous,<3>[2]</3> et",
        &[1, 3],
    );
    check("<1></1>Part<2></2>ing", "Parting", "Adieu", "<1></1>Adieu<2></2>", &[2]);
    check("in <1>12</1> months", "in 12 months", "dans 12 mois", "dans <1>12</1> mois", &[1]);
    check("a <1>—</1> b", "a — b", "x — y", "x <1>—</1> y", &[]);
    // What reads as a tag is words here.
    check("a &lt;1> <1/>b", "a <1> b", "x <1> y", "x &lt;1> <1/>y", &[1]);
    check("a<1/>b", "a b", "", "<1/>", &[1]);
}

/// Tags a hundred thousand deep, as nobody writes them but an attacker.
#[test]
fn deep_nesting_is_no_danger() {
    let count = 100_000;
    let opens = (1..=count).map(Piece::Open);
    let closes = (1..=count).rev().map(Piece::Close);
    let source =
        Tagged::new(opens.chain(["a".to_owned()].map(Piece::Words)).chain(closes).collect());
    let source = source.unwrap();
    let (text, faults) = repair("b c", &source);
    assert_eq!((text.plain().as_str(), faults.len()), ("b c", count as usize));
    assert_eq!(text.faults(&source), vec![]);
}

#[test]
fn spaces_leave_pairs_by_their_edges() {
    for (text, expected) in [
        ("a<1> b </1>c", "a <1>b</1> c"),
        ("a<1><2> b</2> </1>c", "a <1><2>b</2></1> c"),
        ("a<1>\u{a0}</1>b", "a\u{a0}<1></1>b"),
        ("a <1>b <2/> </1>", "a <1>b <2/></1> "),
        ("a<1> <2> b</2></1>", "a  <1><2>b</2></1>"),
        ("a b", "a b"),
    ] {
        assert_eq!(Tagged::parse(text).unwrap().snug().marked(), expected, "{text}");
    }
}
