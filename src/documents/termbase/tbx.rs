//! TBX (ISO 30042), both its versions: of 2008, whose root is `martif`, and of
//! 2019, whose root is `tbx`, in its styles DCA (`<termNote type="…">`) and DCT
//! (an element of the same name in another namespace).

use roxmltree::{Document, Node};

use super::{
    Concept, Notice, NoticeKind, Term, TermbaseError, check_count, checked_note, checked_term,
    language_of,
};

const XML: &str = "http://www.w3.org/XML/1998/namespace";

pub fn read(text: &str, notices: &mut Vec<Notice>) -> Result<Vec<Concept>, TermbaseError> {
    let document = crate::documents::xml::parse(text)
        .map_err(|error| TermbaseError::at(error.line, error.message))?;
    let root = document.root_element();
    if !["martif", "tbx"].contains(&root.tag_name().name()) {
        let message =
            format!("the root is <{}>; TBX has <martif> or <tbx>", root.tag_name().name());
        return Err(TermbaseError::at(1, message));
    }
    let (mut concepts, mut terms) = (Vec::new(), 0);
    for node in root.descendants().filter(|node| named(node, &["termEntry", "conceptEntry"])) {
        let line = line(&document, &node);
        let concept = concept(&document, node, line, notices)?;
        terms += concept.terms.len();
        check_count(terms, line)?;
        if concept.terms.is_empty() {
            let message = "the entry has no terms".to_owned();
            notices.push(Notice { line, kind: NoticeKind::Empty, message });
        } else {
            concepts.push(concept);
        }
    }
    Ok(concepts)
}

fn line(document: &Document<'_>, node: &Node<'_, '_>) -> usize {
    document.text_pos_at(node.range().start).row as usize
}

fn named(node: &Node<'_, '_>, names: &[&str]) -> bool {
    node.is_element() && names.contains(&node.tag_name().name())
}

fn concept(
    document: &Document<'_>,
    entry: Node<'_, '_>,
    at: usize,
    notices: &mut Vec<Notice>,
) -> Result<Concept, TermbaseError> {
    let mut concept =
        Concept { id: entry.attribute("id").map(str::to_owned), line: at, ..Concept::default() };
    let definition = |node: &Node<'_, '_>| data(node).is_some_and(|(kind, _)| kind == "definition");
    let about = entry.children().find(|node| named(node, &["note"]));
    // In TBX-Basic a definition stands with its language, or in a group.
    let about = about.or_else(|| entry.descendants().find(definition));
    if let Some(node) = about {
        concept.note = checked_note(&text_of(&node), line(document, &node))?;
    }
    for section in entry.children().filter(|node| named(node, &["langSet", "langSec"])) {
        let at = line(document, &section);
        let Some(tag) = section.attribute((XML, "lang")).or_else(|| section.attribute("lang"))
        else {
            let message = format!("<{}> has no xml:lang", section.tag_name().name());
            return Err(TermbaseError::at(at, message));
        };
        let language = language_of(tag, at, notices);
        let first = concept.terms.len();
        for holder in section.descendants().filter(|node| named(node, &["tig", "ntig", "termSec"]))
        {
            concept.terms.extend(term(document, holder, &language)?);
        }
        // Those to be written come first.
        concept.terms[first..].sort_by_key(|term| (!term.preferred, term.forbidden));
    }
    Ok(concept)
}

fn term(
    document: &Document<'_>,
    holder: Node<'_, '_>,
    language: &str,
) -> Result<Option<Term>, TermbaseError> {
    let Some(node) = holder.descendants().find(|node| named(node, &["term"])) else {
        let message = format!("<{}> has no <term>", holder.tag_name().name());
        return Err(TermbaseError::at(line(document, &holder), message));
    };
    let text = checked_term(&text_of(&node), line(document, &node))?;
    let mut term = Term {
        language: language.to_owned(),
        text,
        forbidden: false,
        preferred: false,
        case_sensitive: false,
    };
    for (kind, value) in holder.descendants().filter_map(|node| data(&node)) {
        let value = value.trim().to_ascii_lowercase();
        match kind.to_ascii_lowercase().replace(['-', '_', ' '], "").as_str() {
            "administrativestatus" | "normativeauthorization" | "status" => {
                match value.split("term").next().unwrap_or_default() {
                    "deprecated" | "superseded" | "forbidden" | "notrecommended" | "obsolete" => {
                        term.forbidden = true;
                    }
                    "preferred" => term.preferred = true,
                    _ => {}
                }
            }
            "casesensitive" | "xcasesensitive" => {
                term.case_sensitive = ["yes", "true", "1"].contains(&value.as_str());
            }
            _ => {}
        }
    }
    Ok((!term.text.is_empty()).then_some(term))
}

/// A data category and its value: `<termNote type="a">b</termNote>`, or
/// `<ns:a>b</ns:a>`.
fn data(node: &Node<'_, '_>) -> Option<(String, String)> {
    if !node.is_element() {
        return None;
    }
    let name = match named(node, &["termNote", "descrip", "admin"]) {
        true => node.attribute("type")?,
        false => node.tag_name().name(),
    };
    Some((name.to_owned(), text_of(node)))
}

/// All text in a node; `<hi>` within a term is part of it.
fn text_of(node: &Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect()
}
