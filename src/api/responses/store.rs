//! Responses that are kept in memory, so that a conversation can go on from
//! them: the newest, within a bound of bytes, for some time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A response, and the conversation that it ends.
#[derive(Debug)]
pub struct Stored {
    /// As it was given.
    pub response: Value,
    /// As chat templates read them, without the instructions.
    pub messages: Vec<Value>,
    bytes: usize,
    expires: Instant,
}

/// All of them.
#[derive(Debug)]
pub struct Store {
    /// 0 keeps nothing.
    max_bytes: usize,
    lifetime: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    kept: HashMap<String, Arc<Stored>>,
    /// The oldest first. All live equally long, so they expire in this order.
    order: VecDeque<String>,
    bytes: usize,
}

impl Store {
    pub fn new(max_bytes: usize, lifetime: Duration) -> Self {
        Self { max_bytes, lifetime, inner: Mutex::default() }
    }

    /// Something can be kept.
    pub fn is_open(&self) -> bool {
        self.max_bytes > 0
    }

    /// Keeps a response; the oldest go to make room. One that is larger than
    /// all there is room for is not kept, and false.
    pub fn put(&self, id: String, response: Value, messages: Vec<Value>) -> bool {
        self.put_at(id, response, messages, Instant::now())
    }

    fn put_at(&self, id: String, response: Value, messages: Vec<Value>, now: Instant) -> bool {
        let size = |value: &Value| value.to_string().len();
        let bytes = size(&response) + messages.iter().map(size).sum::<usize>() + id.len();
        if bytes > self.max_bytes {
            return false;
        }
        let stored = Stored { response, messages, bytes, expires: now + self.lifetime };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.expire(now);
        while inner.bytes + bytes > self.max_bytes && inner.drop_oldest() {}
        inner.bytes += bytes;
        inner.order.push_back(id.clone());
        inner.kept.insert(id, Arc::new(stored));
        true
    }

    pub fn get(&self, id: &str) -> Option<Arc<Stored>> {
        self.get_at(id, Instant::now())
    }

    fn get_at(&self, id: &str, now: Instant) -> Option<Arc<Stored>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.expire(now);
        inner.kept.get(id).cloned()
    }

    /// Whether there was such a one.
    pub fn delete(&self, id: &str) -> bool {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.expire(Instant::now());
        inner.order.retain(|other| other != id);
        inner.remove(id)
    }
}

impl Inner {
    fn remove(&mut self, id: &str) -> bool {
        let removed = self.kept.remove(id);
        self.bytes -= removed.as_ref().map_or(0, |stored| stored.bytes);
        removed.is_some()
    }

    fn drop_oldest(&mut self) -> bool {
        let oldest = self.order.pop_front();
        oldest.is_some_and(|id| self.remove(&id))
    }

    fn expire(&mut self, now: Instant) {
        while let Some(oldest) = self.order.front()
            && self.kept.get(oldest).is_none_or(|stored| stored.expires <= now)
        {
            self.drop_oldest();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_oldest_go_first_and_all_go_in_time() {
        let lifetime = Duration::from_secs(60);
        let store = Store::new(100, lifetime);
        let start = Instant::now();
        let put = |id: &str, after: u64| {
            let text = "x".repeat(28);
            store.put_at(id.into(), json!(text), vec![], start + Duration::from_secs(after))
        };
        // 32 bytes each.
        assert!(put("r1", 0) && put("r2", 10) && put("r3", 20));
        let there =
            |id: &str, after: u64| store.get_at(id, start + Duration::from_secs(after)).is_some();
        assert!(there("r1", 20) && there("r2", 20) && there("r3", 20));
        assert!(put("r4", 30));
        assert!(!there("r1", 30) && there("r2", 30));
        assert!(there("r2", 69) && !there("r2", 70) && there("r3", 79) && !there("r3", 80));
        assert!(store.delete("r4") && !store.delete("r4"));
        assert!(!store.put_at("r5".into(), json!("x".repeat(100)), vec![], start));
        assert_eq!(store.inner.lock().unwrap().bytes, 0);
        assert!(!Store::new(0, lifetime).is_open());
    }
}
