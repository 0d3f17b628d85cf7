//! What was said lately, and what still holds: kept once for all listeners, however slow they are.
//!
//! ```text
//!   say ─→ number ─→ ring of its topic (the oldest goes) ─→ listeners look from their own number on
//!     └─→ what holds, by topic and subject ─→ the full state of whoever begins or fell behind
//! ```

use super::topic::Topic;
use quorate_common::model::time::WallTime;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Messages of one topic that are remembered.
pub const RING_MAX: usize = 1024;

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// One more than the message before, of whichever topic.
    pub number: u64,
    /// Its topic.
    pub topic: Topic,
    /// What it is about.
    pub subject: Subject,
    /// When it was said.
    pub at: WallTime,
    /// The record.
    pub record: Value,
}

/// What a message is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// A cluster; `None` for the aggregator itself.
    pub cluster: Option<String>,
    /// A node.
    pub node: Option<String>,
    /// A part of it.
    pub part: &'static str,
}

/// All topics. A clone is the same.
#[derive(Clone)]
pub struct Feed {
    state: Arc<Mutex<State>>,
    newest: watch::Sender<u64>,
}

struct State {
    /// Of the last message before the first.
    before: u64,
    last: u64,
    rings: BTreeMap<Topic, Ring>,
    holds: BTreeMap<(Topic, Subject), Arc<Message>>,
}

#[derive(Default)]
struct Ring {
    messages: VecDeque<Arc<Message>>,
    /// How many went, and the number of the last of them.
    gone: (u64, u64),
}

/// What came after a number.
#[derive(Debug, PartialEq)]
pub enum News {
    /// All of it, in order.
    Messages(Vec<Arc<Message>>),
    /// Some of it is gone: at most so many messages; `None` if nobody knows.
    Gone(Option<u64>),
}

impl Feed {
    /// Nothing was said. Numbers go on from a former run of the aggregator, since they begin at the time.
    pub fn new(now: WallTime) -> Feed {
        let before = u64::try_from(now.as_millis()).unwrap_or(0).saturating_mul(1 << 10);
        let state = State { before, last: before, rings: BTreeMap::new(), holds: BTreeMap::new() };
        Feed { state: Arc::new(Mutex::new(state)), newest: watch::Sender::new(before) }
    }

    /// Says something; it is the state of its subject as long as it `holds`.
    pub fn say(&self, topic: Topic, subject: Subject, at: WallTime, record: Value, holds: bool) {
        let mut state = self.lock();
        state.last += 1;
        let message = Arc::new(Message { number: state.last, topic, subject, at, record });
        let key = (topic, message.subject.clone());
        if holds {
            state.holds.insert(key, message.clone());
        } else {
            state.holds.remove(&key);
        }
        let number = state.last;
        state.rings.entry(topic).or_default().push(message);
        drop(state);
        self.newest.send_replace(number);
    }

    /// What is gone holds no longer; nothing is said of it.
    pub fn keep(&self, stays: impl Fn(Topic, &Subject) -> bool) {
        self.lock().holds.retain(|(topic, subject), _| stays(*topic, subject));
    }

    /// What holds of a topic, and the number of the last message.
    pub fn state(&self, topics: &[Topic]) -> (u64, Vec<Arc<Message>>) {
        let state = self.lock();
        let holds = state.holds.values().filter(|message| topics.contains(&message.topic));
        (state.last, holds.cloned().collect())
    }

    /// What was said of some topics after a number.
    pub fn after(&self, number: u64, topics: &[Topic]) -> News {
        let state = self.lock();
        if number < state.before || number > state.last {
            return News::Gone(None);
        }
        let rings: Vec<&Ring> = topics.iter().filter_map(|topic| state.rings.get(topic)).collect();
        let gone: u64 = rings.iter().map(|ring| ring.gone_after(number)).sum();
        if gone > 0 {
            return News::Gone(Some(gone));
        }
        let all = rings.iter().flat_map(|ring| &ring.messages);
        let mut news: Vec<_> = all.filter(|message| message.number > number).cloned().collect();
        news.sort_by_key(|message| message.number);
        News::Messages(news)
    }

    /// Tells of every message by its number.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Whether anybody listens.
    pub fn is_heard(&self) -> bool {
        self.newest.receiver_count() > 0
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn push(&mut self, message: Arc<Message>) {
        self.messages.push_back(message);
        if self.messages.len() > RING_MAX
            && let Some(oldest) = self.messages.pop_front()
        {
            self.gone = (self.gone.0 + 1, oldest.number);
        }
    }

    /// At most so many of those that went came after a number.
    fn gone_after(&self, number: u64) -> u64 {
        self.gone.0.min(self.gone.1.saturating_sub(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Topic::{ClusterHealth, Performance};

    const START: WallTime = WallTime(1_000_000_000);

    fn subject(node: &str) -> Subject {
        Subject { node: Some(node.to_owned()), ..Subject::default() }
    }

    fn say(feed: &Feed, topic: Topic, node: &str, holds: bool) -> u64 {
        feed.say(topic, subject(node), START, Value::Null, holds);
        feed.state(&[]).0
    }

    #[test]
    fn what_holds_is_the_last_word_on_each_subject() {
        let feed = Feed::new(START);
        say(&feed, Performance, "a", true);
        let newer = say(&feed, Performance, "a", true);
        say(&feed, Performance, "b", true);
        say(&feed, Performance, "b", false);
        let (last, holds) = feed.state(&[Performance]);
        assert_eq!((last, holds.len(), holds[0].number), (newer + 2, 1, newer));
        assert!(feed.state(&[ClusterHealth]).1.is_empty());
        feed.keep(|_, subject| subject.node.as_deref() != Some("a"));
        assert!(feed.state(&[Performance]).1.is_empty());
    }

    #[test]
    fn a_flood_of_one_topic_takes_nothing_of_another() {
        let feed = Feed::new(START);
        let first = say(&feed, ClusterHealth, "a", true);
        let numbers: Vec<u64> = (0..RING_MAX + 3).map(|_| say(&feed, Performance, "a", true)).collect();
        assert_eq!(feed.after(first - 1, &[Performance]), News::Gone(Some(3)));
        assert_eq!(feed.after(numbers[1], &[Performance]), News::Gone(Some(1)));
        let News::Messages(all) = feed.after(numbers[2], &[Performance]) else { panic!("all are there") };
        assert_eq!(all.iter().map(|message| message.number).collect::<Vec<_>>(), numbers[3..]);
        let News::Messages(one) = feed.after(first - 1, &[ClusterHealth]) else { panic!("it is there") };
        assert_eq!(one.len(), 1);
    }

    #[test]
    fn numbers_of_another_run_are_unknown() {
        let feed = Feed::new(START);
        let last = say(&feed, Performance, "a", true);
        assert_eq!(feed.after(0, &[Performance]), News::Gone(None));
        assert_eq!(feed.after(last + 1, &[Performance]), News::Gone(None));
        assert_eq!(feed.after(last, &[Performance]), News::Messages(Vec::new()));
    }
}
