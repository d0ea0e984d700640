//! Stop strings: found across tokens, never delivered, not even in part.

/// Holds back text that may turn out to be the start of a stop string.
#[derive(Debug, Default)]
pub struct StopMatcher {
    strings: Vec<String>,
    held: String,
    found: Option<usize>,
}

/// What [`StopMatcher::push`] decided.
#[derive(Debug, PartialEq, Eq)]
pub struct Released {
    /// Text that is final.
    pub text: String,
    /// A stop string follows it: the text ends here.
    pub stopped: bool,
}

impl StopMatcher {
    /// `strings` are not empty.
    pub fn new(strings: Vec<String>) -> Self {
        Self { strings, held: String::new(), found: None }
    }

    /// Adds text and returns what can be delivered.
    pub fn push(&mut self, text: &str) -> Released {
        if self.strings.is_empty() {
            return Released { text: text.to_owned(), stopped: false };
        }
        self.held.push_str(text);
        let found = self.strings.iter().enumerate();
        if let Some((at, number)) = found.filter_map(|(n, s)| Some((self.held.find(s)?, n))).min() {
            self.found = Some(number);
            self.held.truncate(at);
            return Released { text: std::mem::take(&mut self.held), stopped: true };
        }
        let keep = self.held.len() - self.possible_start();
        let tail = self.held.split_off(keep);
        Released { text: std::mem::replace(&mut self.held, tail), stopped: false }
    }

    /// Which stop string ended the text.
    pub fn found(&self) -> Option<usize> {
        self.found
    }

    /// Ends the text: no stop string can come any more.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Bytes at the end of the held text that some stop string begins with.
    fn possible_start(&self) -> usize {
        let longest = self.strings.iter().map(String::len).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest.saturating_sub(1));
        (from..self.held.len())
            .filter(|&at| self.held.is_char_boundary(at))
            .find(|&at| self.strings.iter().any(|s| s.starts_with(&self.held[at..])))
            .map_or(0, |at| self.held.len() - at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_earliest_stop_string_wins_and_nothing_of_it_leaks() {
        let mut m = StopMatcher::new(vec!["END".into(), "\n\n".into()]);
        assert_eq!(m.push("one\n"), Released { text: "one".into(), stopped: false });
        assert_eq!(m.push("two E"), Released { text: "\ntwo ".into(), stopped: false });
        assert_eq!(m.push("N"), Released { text: String::new(), stopped: false });
        assert_eq!(m.push("D\n\n"), Released { text: String::new(), stopped: true });
    }

    proptest! {
        #[test]
        fn any_split_gives_the_text_before_the_first_stop(
            text in "[ab€🙂]{0,30}",
            stops in proptest::collection::vec("[ab€🙂]{1,4}", 1..4),
            size in 1usize..5,
        ) {
            let chars: Vec<char> = text.chars().collect();
            let mut m = StopMatcher::new(stops.clone());
            let (mut out, mut stopped) = (String::new(), false);
            for piece in chars.chunks(size) {
                let r = m.push(&piece.iter().collect::<String>());
                out += &r.text;
                if r.stopped { stopped = true; break; }
            }
            if !stopped { out += &m.finish(); }
            // The stop string that is complete first ends the text. Which one
            // that is may depend on the split only within one piece.
            let first_end = stops.iter().filter_map(|s| text.find(s).map(|at| at + s.len())).min();
            prop_assert_eq!(stopped, first_end.is_some());
            match first_end {
                None => prop_assert_eq!(&out, &text),
                Some(_) => {
                    prop_assert!(text.starts_with(&out));
                    prop_assert!(stops.iter().all(|s| !out.contains(s)));
                    prop_assert!(stops.iter().any(|s| text[out.len()..].starts_with(s)));
                }
            }
        }
    }
}
