//! The task that owns what is shared between the connections of one agent: which session is the current
//! one, its ledgers, and the questions that wait for an answer.
//!
//! Commands come in by a bounded channel. A node has one session: a second one ends the first, and is told so when
//! that happens again and again, for then two hosts have one identity. Questions travel over the session, answers come back over another connection and meet their question here.

mod answer;
pub mod delivery;
pub mod gap;
mod question;
mod swap;

pub use question::{AskError, Question, Questions};
pub use swap::Arrival;

use crate::store::Append;
use delivery::Delivery;
use gap::Gaps;
use quorate_common::model::node::{NodeId, NodeName};
use quorate_common::model::session::{AggregatorMessage, Request, Response, ResponseBody};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use swap::Swaps;
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait. Senders wait for room: every command is one small step.
const COMMANDS_MAX: usize = 256;
/// Questions that may wait for one session to take them.
pub const QUESTIONS_MAX: usize = 8;
/// Parts of one answer.
const PARTS_MAX: usize = 1024;

/// Whoever asked gives up at the deadline, and says so. Letting go of the question at the same moment could be
/// first, and would look as if the program stopped.
const ABANDON_AFTER: Duration = Duration::from_secs(1);

/// A session's place among the others.
#[derive(Debug)]
pub struct Attached {
    /// The ledgers of the node.
    pub delivery: Arc<Delivery>,
    /// Questions to send.
    pub questions: Questions,
    /// Says why this session has to end, when it has to.
    pub ended: oneshot::Receiver<Ended>,
    /// How often within a minute sessions of this node took over from one another, if that is too often.
    pub flapping: Option<usize>,
    number: u64,
}

/// Why a session is ended from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A later session of the same node took over.
    Superseded {
        /// Where it comes from.
        by: SocketAddr,
    },
    /// The node was revoked or forgotten.
    Removed,
}

enum Command {
    Attach {
        node: NodeId,
        arrival: Arrival,
        reply: oneshot::Sender<Attached>,
    },
    Detach {
        node: NodeId,
        number: u64,
        reply: oneshot::Sender<bool>,
    },
    Ask {
        node: NodeId,
        question: Question,
        deadline: Duration,
        reply: oneshot::Sender<Result<ResponseBody, Refused>>,
    },
    Abandon {
        id: u64,
    },
    Answer {
        node: NodeId,
        response: Response,
    },
    Delivery {
        node: NodeId,
        reply: oneshot::Sender<Option<Arc<Delivery>>>,
    },
    Roll {
        reply: oneshot::Sender<Vec<Known>>,
    },
    End {
        node: NodeId,
        forget: bool,
    },
}

/// A node that ever had a session.
#[derive(Clone, Debug)]
pub struct Known {
    /// Which.
    pub node: NodeId,
    /// Its ledgers.
    pub delivery: Arc<Delivery>,
    /// It has a session now.
    pub is_there: bool,
}

#[derive(Debug)]
enum Refused {
    Away,
    Busy,
    Failed(String),
}

/// A handle to the task.
#[derive(Clone, Debug)]
pub struct Agents {
    commands: mpsc::Sender<Command>,
    gaps: Gaps,
}

impl Agents {
    /// The handle, and the task to run.
    pub fn new(store: Arc<dyn Append>, gaps: Gaps) -> (Agents, impl Future<Output = ()> + Send) {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let abandon = commands.downgrade();
        let owner = Owner { store, nodes: HashMap::new(), waiting: HashMap::new(), next: 0, abandon };
        (Agents { commands, gaps }, owner.run(inbox))
    }

    /// Makes a session the current one of its node.
    pub async fn attach(&self, node: NodeId, arrival: Arrival) -> Option<Attached> {
        let attached = self.call(|reply| Command::Attach { node, arrival, reply }).await?;
        self.gaps.adopt(node, &attached.delivery);
        Some(attached)
    }

    /// The time lines of all nodes.
    pub fn gaps(&self) -> Gaps {
        self.gaps.clone()
    }

    /// A session is over; `true` if it still was the current one of its node.
    pub async fn detach(&self, node: NodeId, attached: &Attached) -> bool {
        let number = attached.number;
        self.call(|reply| Command::Detach { node, number, reply }).await.unwrap_or(false)
    }

    /// Asks a node something and waits for the whole answer.
    pub async fn ask(
        &self,
        node: NodeId,
        name: &NodeName,
        question: impl Into<Question>,
        deadline: Duration,
    ) -> Result<ResponseBody, AskError> {
        let question = question.into();
        let call = self.call(|reply| Command::Ask { node, question, deadline, reply });
        let late = AskError::Late(name.clone(), deadline);
        match tokio::time::timeout(deadline, call).await {
            Err(_) => Err(late),
            Ok(None) => Err(AskError::Stopping),
            Ok(Some(Ok(body))) => Ok(body),
            Ok(Some(Err(Refused::Away))) => Err(AskError::Away(name.clone())),
            Ok(Some(Err(Refused::Busy))) => Err(AskError::Busy(name.clone())),
            Ok(Some(Err(Refused::Failed(reason)))) => Err(AskError::Failed(name.clone(), reason)),
        }
    }

    /// Hands over one part of an answer.
    pub async fn answer(&self, node: NodeId, response: Response) {
        self.commands.send(Command::Answer { node, response }).await.ok();
    }

    /// The ledgers of a node, if it ever had a session.
    pub async fn delivery(&self, node: NodeId) -> Option<Arc<Delivery>> {
        self.call(|reply| Command::Delivery { node, reply }).await.flatten()
    }

    /// All nodes that ever had a session, in no order; none while we stop.
    pub async fn roll(&self) -> Vec<Known> {
        self.call(|reply| Command::Roll { reply }).await.unwrap_or_default()
    }

    /// How many commands wait, and how many can.
    pub fn queue(&self) -> (usize, usize) {
        let max = self.commands.max_capacity();
        (max.saturating_sub(self.commands.capacity()), max)
    }

    /// Ends the session of a node; and drops all that is held of it.
    pub async fn end(&self, node: NodeId, forget: bool) {
        self.commands.send(Command::End { node, forget }).await.ok();
    }

    async fn call<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

struct Node {
    delivery: Arc<Delivery>,
    session: Option<Current>,
    swaps: Swaps,
}

struct Current {
    number: u64,
    questions: question::Queue,
    ended: oneshot::Sender<Ended>,
}

struct Waiting {
    node: NodeId,
    parts: Vec<Response>,
    reply: oneshot::Sender<Result<ResponseBody, Refused>>,
}

impl Node {
    fn new(id: NodeId, store: Arc<dyn Append>) -> Node {
        Node { delivery: Arc::new(Delivery::new(id, store)), session: None, swaps: Swaps::default() }
    }
}

struct Owner {
    store: Arc<dyn Append>,
    nodes: HashMap<NodeId, Node>,
    waiting: HashMap<u64, Waiting>,
    next: u64,
    abandon: mpsc::WeakSender<Command>,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut commits = self.store.commits();
        let mut failed = commits.borrow().failed;
        loop {
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
                Ok(now) = commits.wait_for(|commits| commits.failed > failed) => {
                    failed = now.failed;
                    self.nodes.values().for_each(|node| node.delivery.set_back());
                }
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Attach { node, arrival, reply } => {
                reply.send(self.attach(node, arrival)).ok();
            }
            Command::Detach { node, number, reply } => {
                reply.send(self.detach(node, number)).ok();
            }
            Command::Ask { node, question, deadline, reply } => self.ask(node, question, deadline, reply),
            Command::Abandon { id } => {
                self.waiting.remove(&id);
            }
            Command::Answer { node, response } => self.answer(node, response),
            Command::Delivery { node, reply } => {
                reply.send(self.nodes.get(&node).map(|node| node.delivery.clone())).ok();
            }
            Command::Roll { reply } => {
                reply.send(self.roll()).ok();
            }
            Command::End { node, forget } => self.end(node, forget),
        }
    }

    fn roll(&self) -> Vec<Known> {
        let known = |(id, node): (&NodeId, &Node)| Known {
            node: *id,
            delivery: node.delivery.clone(),
            is_there: node.session.is_some(),
        };
        self.nodes.iter().map(known).collect()
    }

    fn attach(&mut self, node: NodeId, arrival: Arrival) -> Attached {
        self.next += 1;
        let (questions, inbox) = question::queue(QUESTIONS_MAX);
        let (end, ended) = oneshot::channel();
        let store = &self.store;
        let node = self.nodes.entry(node).or_insert_with(|| Node::new(node, store.clone()));
        let older = node.session.replace(Current { number: self.next, questions, ended: end });
        let flapping = older.and_then(|older| {
            // One that has ended meanwhile, and was not detached yet, was not taken over from.
            let there = older.ended.send(Ended::Superseded { by: arrival.from }).is_ok();
            there.then(|| node.swaps.count(arrival.at)).flatten()
        });
        Attached { delivery: node.delivery.clone(), questions: inbox, ended, flapping, number: self.next }
    }

    fn detach(&mut self, node: NodeId, number: u64) -> bool {
        let Some(entry) = self.nodes.get_mut(&node) else { return false };
        let current = entry.session.as_ref().is_some_and(|session| session.number == number);
        if current {
            entry.session = None;
        }
        current
    }

    fn ask(
        &mut self,
        node: NodeId,
        Question { kind, range, rate }: Question,
        deadline: Duration,
        reply: oneshot::Sender<Result<ResponseBody, Refused>>,
    ) {
        let Some(session) = self.nodes.get(&node).and_then(|node| node.session.as_ref()) else {
            reply.send(Err(Refused::Away)).ok();
            return;
        };
        self.next += 1;
        let id = self.next;
        let deadline_ms = u32::try_from(deadline.as_millis()).unwrap_or(u32::MAX);
        let request = AggregatorMessage::Request(Request { id, kind, deadline_ms, rate, range });
        if session.questions.try_send(Box::new(request)).is_err() {
            reply.send(Err(Refused::Busy)).ok();
            return;
        }
        self.waiting.insert(id, Waiting { node, parts: Vec::new(), reply });
        let commands = self.abandon.clone();
        drop(tokio::spawn(async move {
            tokio::time::sleep(deadline + ABANDON_AFTER).await;
            if let Some(commands) = commands.upgrade() {
                commands.send(Command::Abandon { id }).await.ok();
            }
        }));
    }

    /// Parts come in order over one stream. One that nobody waits for, or of another node, is dropped.
    fn answer(&mut self, node: NodeId, response: Response) {
        let id = response.id;
        let Some(waiting) = self.waiting.get_mut(&id) else { return };
        if waiting.node != node || response.part as usize != waiting.parts.len() {
            return;
        }
        if waiting.parts.len() >= PARTS_MAX {
            if let Some(waiting) = self.waiting.remove(&id) {
                waiting.reply.send(Err(Refused::Failed("its answer has no end".to_owned()))).ok();
            }
            return;
        }
        let last = response.last;
        waiting.parts.push(response);
        if last && let Some(waiting) = self.waiting.remove(&id) {
            waiting.reply.send(answer::whole(waiting.parts)).ok();
        }
    }

    fn end(&mut self, node: NodeId, forget: bool) {
        if let Some(session) = self.nodes.get_mut(&node).and_then(|node| node.session.take()) {
            session.ended.send(Ended::Removed).ok();
        }
        if forget {
            self.nodes.remove(&node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::embedded::Embedded;
    use quorate_common::model::process::ProcessRow;
    use quorate_common::model::session::RequestKind;
    use quorate_common::model::time::BootTime;

    const NODE: NodeId = NodeId(1);
    const SOON: Duration = Duration::from_secs(5);

    fn start() -> (Agents, NodeName) {
        let (agents, task) = Agents::new(Arc::new(Embedded::default()), Gaps::default());
        drop(tokio::spawn(task));
        (agents, "n1".parse().unwrap())
    }

    fn arrival(seconds: u64) -> Arrival {
        Arrival { from: "192.0.2.1:7".parse().unwrap(), at: BootTime(seconds * 1_000_000_000) }
    }

    fn row(pid: u32) -> ProcessRow {
        ProcessRow { pid, ..ProcessRow::default() }
    }

    async fn question(attached: &mut Attached) -> Request {
        match attached.questions.recv().await {
            Some(AggregatorMessage::Request(request)) => request,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn an_answer_in_parts_meets_its_question() {
        let (agents, name) = start();
        let mut attached = agents.attach(NODE, arrival(0)).await.unwrap();
        let asking = agents.ask(NODE, &name, RequestKind::ProcessTable, SOON);
        let answering = async {
            let id = question(&mut attached).await.id;
            for (part, last) in [(0, false), (1, true)] {
                let body = ResponseBody::Processes(vec![row(part)]);
                agents.answer(NodeId(2), Response { id, part, last, body: ResponseBody::Done }).await;
                agents.answer(NODE, Response { id, part, last, body }).await;
            }
        };
        let (answer, ()) = tokio::join!(asking, answering);
        assert_eq!(answer.unwrap(), ResponseBody::Processes(vec![row(0), row(1)]));
    }

    #[tokio::test]
    async fn says_why_there_is_no_answer() {
        let (agents, name) = start();
        let ask = |deadline| agents.ask(NODE, &name, RequestKind::ProcessTable, deadline);
        assert_eq!(ask(SOON).await, Err(AskError::Away(name.clone())));
        let mut attached = agents.attach(NODE, arrival(0)).await.unwrap();
        let short = Duration::from_millis(20);
        assert_eq!(ask(short).await, Err(AskError::Late(name.clone(), short)));
        let late = question(&mut attached).await;
        agents.answer(NODE, Response { id: late.id, part: 0, last: true, body: ResponseBody::Done }).await;
        let failing = async {
            let id = question(&mut attached).await.id;
            let body = ResponseBody::Failed("no right".into());
            agents.answer(NODE, Response { id, part: 0, last: true, body }).await;
        };
        let (answer, ()) = tokio::join!(ask(SOON), failing);
        assert_eq!(answer, Err(AskError::Failed(name.clone(), "no right".into())));
    }

    #[tokio::test]
    async fn a_second_session_ends_the_first() {
        let (agents, _) = start();
        let mut first = agents.attach(NODE, arrival(0)).await.unwrap();
        let mut second = agents.attach(NODE, arrival(0)).await.unwrap();
        assert_eq!((&mut first.ended).await, Ok(Ended::Superseded { by: arrival(0).from }));
        assert!(!agents.detach(NODE, &first).await, "it is no longer the current one");
        assert!(second.ended.try_recv().is_err(), "nothing was said to it");
        assert!(agents.detach(NODE, &second).await);
        let third = agents.attach(NODE, arrival(0)).await.unwrap();
        agents.end(NODE, true).await;
        assert_eq!(third.ended.await, Ok(Ended::Removed));
    }

    #[tokio::test]
    async fn two_hosts_with_one_identity_are_noticed() {
        let (agents, _) = start();
        let mut current = agents.attach(NODE, arrival(0)).await.unwrap();
        for (at, expect) in [(1, None), (2, None), (3, None), (4, Some(4)), (5, Some(5)), (90, None)] {
            let next = agents.attach(NODE, arrival(at)).await.unwrap();
            assert_eq!(next.flapping, expect, "at {at}");
            current = next;
        }
        for at in 91..100 {
            assert!(agents.detach(NODE, &current).await);
            current = agents.attach(NODE, arrival(at)).await.unwrap();
            assert_eq!(current.flapping, None, "who was away comes again");
        }
    }

    #[tokio::test]
    async fn an_answer_without_end_is_given_up() {
        let (agents, name) = start();
        let mut attached = agents.attach(NODE, arrival(0)).await.unwrap();
        let asking = agents.ask(NODE, &name, RequestKind::ProcessTable, SOON);
        let answering = async {
            let id = question(&mut attached).await.id;
            for part in 0..=PARTS_MAX as u32 {
                let body = ResponseBody::Processes(Vec::new());
                agents.answer(NODE, Response { id, part, last: false, body }).await;
            }
        };
        let (answer, ()) = tokio::join!(asking, answering);
        assert_eq!(answer, Err(AskError::Failed(name.clone(), "its answer has no end".into())));
    }
}
