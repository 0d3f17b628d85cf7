//! One listener: what it wants, how far it is, and what it is told next.
//!
//! ```text
//!   begins ──────────→ state of each topic ─→ changes ─→ …
//!   comes back with a number ─→ all there? ── yes ─→ changes
//!                                   └─ no ─→ state of each topic, with how many it missed
//! ```

use super::feed::{Feed, Message, News};
use super::topic::Topic;
use crate::serve::http::envelope::Failure;
use quorate_common::model::time::WallTime;
use serde_json::json;
use tokio::sync::watch;

/// What stands in the query of a request.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Wish {
    /// Topics, divided by commas; all of them if empty.
    pub topics: String,
    /// One cluster only.
    pub cluster: String,
    /// One node only.
    pub node: String,
    /// The number of the last message that was heard.
    pub after: Option<u64>,
}

/// See the module.
pub struct Listener {
    feed: Feed,
    newest: watch::Receiver<u64>,
    topics: Vec<Topic>,
    cluster: String,
    node: String,
    after: Option<u64>,
}

/// A text and its number.
pub type Told = (u64, String);

impl Listener {
    /// Someone who wants this.
    ///
    /// # Errors
    /// A topic that does not exist.
    pub fn new(feed: &Feed, wish: Wish) -> Result<Listener, Failure> {
        let names = wish.topics.split(',').map(str::trim).filter(|name| !name.is_empty());
        let parse = |name: &str| {
            name.parse::<Topic>().map_err(|error| Failure::bad(format!("parameter `topics`: {error}")))
        };
        let mut topics = names.map(parse).collect::<Result<Vec<Topic>, Failure>>()?;
        if topics.is_empty() {
            topics = Topic::ALL.to_vec();
        }
        topics.sort_unstable();
        topics.dedup();
        let Wish { cluster, node, after, .. } = wish;
        Ok(Listener { newest: feed.subscribe(), feed: feed.clone(), topics, cluster, node, after })
    }

    /// What it is to be told now; waits until there is something. `now` stamps a full state.
    pub async fn next(&mut self, now: impl Fn() -> WallTime) -> Vec<Told> {
        loop {
            // Before looking, so that what is said meanwhile is looked at next.
            self.newest.mark_unchanged();
            let told = match self.after.map(|number| self.feed.after(number, &self.topics)) {
                None => self.state(Some(0), now()),
                Some(News::Gone(missed)) => self.state(missed, now()),
                Some(News::Messages(messages)) => self.changes(&messages),
            };
            if !told.is_empty() {
                return told;
            }
            // The feed is held, so that its other end is there.
            self.newest.changed().await.ok();
        }
    }

    fn changes(&mut self, messages: &[std::sync::Arc<Message>]) -> Vec<Told> {
        self.after = messages.last().map(|message| message.number).or(self.after);
        let wanted = messages.iter().filter(|message| self.wants(message));
        let text = |message: &std::sync::Arc<Message>| {
            let Message { number, topic, at, record, .. } = &**message;
            let text = json!({
                "number": number, "topic": topic.as_str(), "kind": "change", "timestamp": at.to_string(),
                "record": record,
            });
            (*number, text.to_string())
        };
        wanted.map(text).collect()
    }

    /// One message for each topic, all with the number of the last message, whichever topic that was of.
    fn state(&mut self, missed: Option<u64>, now: WallTime) -> Vec<Told> {
        let (number, holds) = self.feed.state(&self.topics);
        self.after = Some(number);
        let text = |topic: &Topic| {
            let of_topic = holds.iter().filter(|message| message.topic == *topic && self.wants(message));
            let records: Vec<_> = of_topic.map(|message| &message.record).collect();
            let text = json!({
                "number": number, "topic": topic.as_str(), "kind": "state", "timestamp": now.to_string(),
                "missed": missed, "records": records,
            });
            (number, text.to_string())
        };
        self.topics.iter().map(text).collect()
    }

    fn wants(&self, message: &Message) -> bool {
        let is = |wanted: &str, value: &Option<String>| wanted.is_empty() || value.as_deref() == Some(wanted);
        is(&self.cluster, &message.subject.cluster) && is(&self.node, &message.subject.node)
    }
}
