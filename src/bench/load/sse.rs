//! Server-sent events, as they come in pieces of any size.

/// A line longer than this is no event of such a server.
const MAX_LINE: usize = 16 << 20;

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// What `event:` said; empty where nothing did.
    pub name: String,
    /// The `data:` lines, joined by line ends.
    pub data: String,
}

/// Puts events together.
#[derive(Debug, Default)]
pub struct Reader {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
}

impl Reader {
    /// The events that `bytes` complete.
    ///
    /// # Errors
    /// A line grows beyond all measure.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            self.line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            let line = std::mem::take(&mut self.line);
            events.extend(self.take(&line));
        }
        self.line.extend_from_slice(rest);
        if self.line.len() > MAX_LINE {
            return Err(format!("a line of the stream is longer than {MAX_LINE} bytes"));
        }
        Ok(events)
    }

    /// The event that an abrupt end left without its empty line.
    pub fn rest(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        self.take(&line);
        self.take(b"")
    }

    fn take(&mut self, line: &[u8]) -> Option<Event> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let line = String::from_utf8_lossy(line);
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            "event" => self.event.name = value.to_owned(),
            // Comments (an empty name), ids and times to wait.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut at every place, the events stay the same.
    #[test]
    fn events_do_not_depend_on_where_bytes_are_cut() {
        let stream = ": hello\n\ndata: {\"a\": \"é\"}\n\ndata:1\r\ndata: 2\r\n\r\nevent: error\ndata: x\n\nid: 3\n\ndata: [DONE]\n\n";
        let expected = [("", "{\"a\": \"é\"}"), ("", "1\n2"), ("error", "x"), ("", "[DONE]")]
            .map(|(name, data)| Event { name: name.into(), data: data.into() });
        let bytes = stream.as_bytes();
        for cut in 0..bytes.len() {
            let mut reader = Reader::default();
            let mut found = reader.feed(&bytes[..cut]).unwrap();
            found.extend(reader.feed(&bytes[cut..]).unwrap());
            assert_eq!(found, expected, "cut at {cut}");
            assert_eq!(reader.rest(), None);
        }
    }

    #[test]
    fn a_last_event_without_an_empty_line_is_kept() {
        let mut reader = Reader::default();
        assert!(reader.feed(b"data: [DONE]").unwrap().is_empty());
        assert_eq!(reader.rest().unwrap().data, "[DONE]");
    }

    #[test]
    fn endless_lines_are_an_error() {
        let mut reader = Reader::default();
        assert!(reader.feed(&vec![b'x'; MAX_LINE + 1]).is_err());
    }
}
