//! From tokens to what the caller receives: whole characters, nothing of a
//! stop string, and the log probabilities of exactly the tokens whose text
//! was delivered.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use super::detokenize::Detokenizer;
use super::request::{Event, TokenLogprob};
use super::stop::StopMatcher;

/// One request's output, on its way to its caller.
#[derive(Debug)]
pub struct Delivery {
    strips_leading_space: bool,
    detokenizer: Detokenizer,
    stop: StopMatcher,
    /// Texts of special tokens that are delivered all the same.
    shown: Arc<[(u32, String)]>,
    events: UnboundedSender<Event>,
    /// Bytes of text that became whole characters so far.
    written: usize,
    /// Bytes of it that were delivered.
    delivered: usize,
    /// Each with the bytes of text that must be delivered before it may be.
    logprobs: VecDeque<(usize, TokenLogprob)>,
    /// What the next event carries.
    text: String,
    tokens: Vec<u32>,
    released: Vec<TokenLogprob>,
}

impl Delivery {
    pub fn new(
        strips_leading_space: bool,
        stops: Vec<String>,
        shown: Arc<[(u32, String)]>,
        events: UnboundedSender<Event>,
    ) -> Self {
        Self {
            strips_leading_space,
            detokenizer: Detokenizer::new(strips_leading_space),
            stop: StopMatcher::new(stops),
            shown,
            events,
            written: 0,
            delivered: 0,
            logprobs: VecDeque::new(),
            text: String::new(),
            tokens: Vec::new(),
            released: Vec::new(),
        }
    }

    /// Nobody listens any more.
    pub fn abandoned(&self) -> bool {
        self.events.is_closed()
    }

    /// Adds a token, which adds `bytes` to the text. True when a stop string
    /// is complete: the text ends before it.
    pub fn push(&mut self, token: u32, bytes: &[u8], logprob: Option<TokenLogprob>) -> bool {
        let shown = self.shown.iter().find(|(id, _)| bytes.is_empty() && *id == token);
        let bytes = shown.map_or(bytes, |(_, text)| text.as_bytes());
        let text = self.detokenizer.push(bytes);
        self.written += text.len();
        // A token that ends within a character belongs to that character.
        let end = self.written + usize::from(self.detokenizer.is_waiting());
        self.logprobs.extend(logprob.map(|l| (end, l)));
        self.tokens.push(token);
        let released = self.stop.push(&text);
        self.release(&released.text);
        released.stopped
    }

    /// Which stop string ended the text.
    pub fn stop(&self) -> Option<usize> {
        self.stop.found()
    }

    fn release(&mut self, text: &str) {
        self.delivered += text.len();
        self.text += text;
        let delivered = self.delivered;
        while let Some((_, logprob)) = self.logprobs.pop_front_if(|(end, _)| *end <= delivered) {
            self.released.push(logprob);
        }
    }

    /// Ends the text: what was held back is part of it after all. True when a
    /// stop string was completed by it.
    pub fn end(&mut self) -> bool {
        let rest = self.detokenizer.finish();
        self.written += rest.len();
        let released = self.stop.push(&rest);
        self.release(&released.text);
        if !released.stopped {
            let held = self.stop.finish();
            self.release(&held);
            self.released.extend(self.logprobs.drain(..).map(|(_, logprob)| logprob));
        }
        released.stopped
    }

    /// Sends what has come together.
    pub fn flush(&mut self) {
        if self.tokens.is_empty() && self.text.is_empty() {
            return;
        }
        let delta = Event::Delta {
            text: std::mem::take(&mut self.text),
            tokens: std::mem::take(&mut self.tokens),
            logprobs: std::mem::take(&mut self.released),
        };
        self.send(delta);
    }

    /// Another text of these pieces, whole.
    pub fn apart<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) -> String {
        let mut detokenizer = Detokenizer::new(self.strips_leading_space);
        let text: String = pieces.map(|bytes| detokenizer.push(bytes)).collect();
        text + &detokenizer.finish()
    }

    pub fn send(&self, event: Event) {
        // A caller that is gone is noticed before the next step.
        let _ = self.events.send(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokio::sync::mpsc::unbounded_channel;

    fn logprob(token: u32) -> Option<TokenLogprob> {
        Some(TokenLogprob { token, logprob: -1.0, top: Vec::new() })
    }

    proptest! {
        /// Byte tokens, as byte fallback makes them, of texts with joiners,
        /// combining marks and flags, cut anywhere.
        #[test]
        fn text_is_whole_and_log_probabilities_are_those_of_the_text(
            text in "([ab]|é|한|👩‍👩‍👧|क्षि|🇫🇷|e\u{301}|ا){0,24}",
            stops in proptest::collection::vec("([ab]|é|👩|🇫){1,3}", 0..3),
            cuts in proptest::collection::vec(1usize..6, 1..60),
        ) {
            let (events, mut receiver) = unbounded_channel();
            let mut delivery = Delivery::new(false, stops.clone(), Arc::default(), events);
            let (mut rest, mut pieces) = (text.as_bytes(), Vec::new());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                pieces.push(now);
                rest = later;
            }
            let mut stopped = false;
            for (i, piece) in pieces.iter().enumerate() {
                stopped = delivery.push(i as u32, piece, logprob(i as u32));
                if !stopped { delivery.flush(); }
                if stopped { break; }
            }
            if !stopped { stopped = delivery.end(); }
            delivery.flush();
            let (mut got, mut tokens, mut reported) = (String::new(), 0, Vec::new());
            while let Ok(Event::Delta { text: t, tokens: n, logprobs }) = receiver.try_recv() {
                got += &t;
                tokens += n.len();
                reported.extend(logprobs.into_iter().map(|l| l.token as usize));
            }
            prop_assert!(text.starts_with(&got));
            prop_assert!(stops.iter().all(|s| !got.contains(s.as_str())));
            prop_assert_eq!(stopped, stops.iter().any(|s| text.contains(s.as_str())));
            prop_assert!(reported.iter().copied().eq(0..reported.len()), "in order, none missing");
            let bytes: usize = pieces[..reported.len()].iter().map(|p| p.len()).sum();
            prop_assert!(bytes <= got.len(), "nothing of a stop string leaks");
            if !stopped {
                prop_assert_eq!(&got, &text);
                prop_assert_eq!((tokens, reported.len()), (pieces.len(), pieces.len()));
            } else if let Some(next) = pieces.get(reported.len()) {
                prop_assert!(bytes + next.len() > got.len(), "whatever was delivered is reported");
            }
        }
    }
}
