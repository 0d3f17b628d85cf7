//! The connection to the aggregator: every call of the public API that a command makes.
//!
//! Nothing outside this directory names a generated type, and nothing in it prints. Every call has a
//! deadline, except a watch, which ends when the connection does.

mod backup;
mod convert;
mod fault;
mod gap;
mod open;
mod range;
mod request;

pub use backup::Backup;
pub use fault::CallError;
pub use gap::GapQuestion;
pub use open::OpenError;
pub use range::{Aggregate, RangeQuestion, Resolution};
pub use request::{AuditQuestion, NewToken, Subject};

use crate::config::Target;
use crate::view::{self, WatchEvent};
use quorate_proto::v1::admin_service_client::AdminServiceClient;
use quorate_proto::v1::cluster_service_client::ClusterServiceClient;
use quorate_proto::v1::diagnostic_service_client::DiagnosticServiceClient;
use quorate_proto::v1::query_service_client::QueryServiceClient;
use quorate_proto::v1::{self, watch_response};
use std::time::Duration;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

/// Largest message that is accepted: the full state of a few tens of thousands of nodes.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// Lines of the audit log on a page: as many as an aggregator gives.
const AUDIT_PAGE: u32 = 1000;
/// Most pages of a list; with the largest page, a million nodes.
const PAGES_MAX: usize = 1000;

/// An open connection. Cheap to clone; clones share it.
#[derive(Clone, Debug)]
pub struct Connection {
    channel: Channel,
    limit: Duration,
}

impl Connection {
    /// Connects with mutual TLS.
    pub async fn open(target: &Target) -> Result<Connection, OpenError> {
        Ok(Connection::over(open::open(target).await?, target.timeout))
    }

    /// Uses a channel that is there already; each call may take `limit`.
    pub fn over(channel: Channel, limit: Duration) -> Connection {
        Connection { channel, limit }
    }

    /// The health of one cluster, or of all if the name is empty.
    pub async fn health(&self, cluster: &str) -> Result<view::HealthReport, CallError> {
        let request = v1::GetHealthRequest { cluster: cluster.to_owned() };
        let answer = self.call("read the health", self.cluster().get_health(self.request(request))).await?;
        Ok(answer.into())
    }

    /// All nodes of one cluster, or of all if the name is empty.
    pub async fn nodes(&self, cluster: &str) -> Result<view::NodeList, CallError> {
        let mut nodes = Vec::new();
        let mut page_token = String::new();
        for _ in 0..PAGES_MAX {
            let request = v1::ListNodesRequest { cluster: cluster.to_owned(), page_size: 0, page_token };
            let page = self.call("list nodes", self.cluster().list_nodes(self.request(request))).await?;
            nodes.extend(convert::all(page.nodes));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(view::NodeList { nodes });
            }
        }
        Err(CallError::Answer { action: "list nodes", problem: "never ends" })
    }

    /// One node.
    pub async fn node(&self, name: &str) -> Result<view::NodeDetail, CallError> {
        let request = v1::GetNodeRequest { name: name.to_owned() };
        let answer = self.call("read the node", self.cluster().get_node(self.request(request))).await?;
        let node =
            answer.node.ok_or(CallError::Answer { action: "read the node", problem: "has no node" })?;
        Ok(view::NodeDetail {
            node: node.into(),
            components: convert::all(answer.components),
            resources: convert::all(answer.resources),
            delivery: answer.delivery.map(Into::into),
            identity: answer.identity.map(Into::into),
            gaps_of_day: answer.gaps_of_day,
        })
    }

    /// The state of one cluster or of all, and every change from now on.
    pub async fn watch(&self, cluster: &str) -> Result<Watch, CallError> {
        let request = v1::WatchRequest { cluster: cluster.to_owned() };
        // No deadline travels with a watch: only its beginning has one.
        let stream = self.call("watch", self.cluster().watch(request)).await?;
        Ok(Watch { stream })
    }

    /// The newest value of every series that a selector matches, `limit` at most.
    pub async fn latest(&self, selector: &str, limit: u32) -> Result<view::LatestList, CallError> {
        let request = v1::QueryLatestRequest { selector: selector.to_owned(), limit };
        Ok(self.call("query", self.query().query_latest(self.request(request))).await?.into())
    }

    /// The samples of the last seconds of every series that a selector matches, `limit` series at most.
    pub async fn recent(
        &self,
        selector: &str,
        seconds: u32,
        limit: u32,
    ) -> Result<view::RecentList, CallError> {
        let request = v1::QueryRecentRequest { selector: selector.to_owned(), seconds, limit };
        Ok(self.call("query", self.query().query_recent(self.request(request))).await?.into())
    }

    /// A value for each step of every series that a selector matches.
    pub async fn range(&self, question: RangeQuestion) -> Result<view::RangeAnswer, CallError> {
        let request = self.request(v1::QueryRangeRequest::from(question));
        let read = async {
            let parts = self.query().query_range(request).await?.into_inner();
            Ok(Response::new(range::whole(parts).await?))
        };
        self.call("query", read).await?.ok_or(CallError::Answer { action: "query", problem: "is not whole" })
    }

    /// When nodes have no samples.
    pub async fn gaps(&self, question: &GapQuestion) -> Result<view::GapList, CallError> {
        let request = self.request(v1::ListGapsRequest::from(question));
        Ok(self.call("list gaps", self.query().list_gaps(request)).await?.into())
    }

    /// The process table of a node; 0 means all rows.
    pub async fn processes(&self, node: &str, limit: u32) -> Result<view::ProcessList, CallError> {
        let request = v1::ListProcessesRequest { node: node.to_owned(), limit };
        Ok(self.call("list processes", self.query().list_processes(self.request(request))).await?.into())
    }

    /// The last seconds of a metric at full rate, asked of the flight recorder of a node's agent.
    pub async fn recorder(
        &self,
        node: &str,
        metric: &str,
        seconds: u32,
    ) -> Result<view::RecentList, CallError> {
        let request = v1::ReadRecorderRequest { node: node.to_owned(), metric: metric.to_owned(), seconds };
        let answer =
            self.call("read the recorder", self.query().read_recorder(self.request(request))).await?;
        Ok(answer.into())
    }

    /// How the aggregator itself does.
    pub async fn aggregator(&self) -> Result<view::Aggregator, CallError> {
        let mut service = DiagnosticServiceClient::new(self.channel.clone());
        let request = self.request(v1::GetStatusRequest {});
        Ok(self.call("read the aggregator's status", service.get_status(request)).await?.into())
    }

    /// Makes a token.
    pub async fn create_token(&self, new: NewToken) -> Result<view::CreatedToken, CallError> {
        let request = self.request(v1::CreateTokenRequest::from(new));
        Ok(self.call("create the token", self.admin().create_token(request)).await?.into())
    }

    /// All tokens.
    pub async fn tokens(&self) -> Result<view::TokenList, CallError> {
        let request = self.request(v1::ListTokensRequest {});
        let answer = self.call("list tokens", self.admin().list_tokens(request)).await?;
        Ok(view::TokenList { tokens: convert::all(answer.tokens) })
    }

    /// Makes a token useless.
    pub async fn revoke_token(&self, id: &str) -> Result<(), CallError> {
        let request = self.request(v1::RevokeTokenRequest { token_id: id.to_owned() });
        self.call("revoke the token", self.admin().revoke_token(request)).await.map(drop)
    }

    /// Refuses a node from now on.
    pub async fn revoke_node(&self, name: &str, reason: &str) -> Result<(), CallError> {
        let request = v1::RevokeNodeRequest { name: name.to_owned(), reason: reason.to_owned() };
        self.call("revoke the node", self.admin().revoke_node(self.request(request))).await.map(drop)
    }

    /// Takes a node out of its cluster.
    pub async fn forget_node(&self, name: &str) -> Result<(), CallError> {
        let request = self.request(v1::ForgetNodeRequest { name: name.to_owned() });
        self.call("forget the node", self.admin().forget_node(request)).await.map(drop)
    }

    /// Mutes the pages of a node: for so long, or until somebody ends it.
    pub async fn begin_maintenance(
        &self,
        name: &str,
        reason: &str,
        lasts: Option<Duration>,
    ) -> Result<(), CallError> {
        let lasts = lasts.and_then(|lasts| prost_types::Duration::try_from(lasts).ok());
        let (name, reason) = (name.to_owned(), reason.to_owned());
        let request = v1::SetMaintenanceRequest { name, maintenance: true, reason, lasts };
        self.call("begin the maintenance", self.admin().set_maintenance(self.request(request)))
            .await
            .map(drop)
    }

    /// Unmutes the pages of a node.
    pub async fn end_maintenance(&self, name: &str, reason: &str) -> Result<(), CallError> {
        let (name, reason) = (name.to_owned(), reason.to_owned());
        let request = v1::SetMaintenanceRequest { name, maintenance: false, reason, lasts: None };
        self.call("end the maintenance", self.admin().set_maintenance(self.request(request))).await.map(drop)
    }

    /// The newest lines of the audit log, `limit` at most.
    pub async fn audit(&self, question: &AuditQuestion, limit: u32) -> Result<view::AuditList, CallError> {
        let mut lines: Vec<view::AuditLine> = Vec::new();
        let mut page_token = String::new();
        for _ in 0..PAGES_MAX {
            let left = limit.saturating_sub(u32::try_from(lines.len()).unwrap_or(u32::MAX));
            let request = self.request(question.page(left.min(AUDIT_PAGE), page_token));
            let page = self.call("read the audit log", self.admin().list_audit(request)).await?;
            lines.extend(convert::all(page.lines));
            page_token = page.next_page_token;
            if page_token.is_empty() || lines.len() >= limit as usize {
                return Ok(view::AuditList { lines, more: !page_token.is_empty() });
            }
        }
        Err(CallError::Answer { action: "read the audit log", problem: "never ends" })
    }

    /// Has a node sample all it collects more often for a while.
    pub async fn set_rate(&self, node: &str, interval_ms: u32, seconds: u32) -> Result<(), CallError> {
        let (node, collector) = (node.to_owned(), String::new());
        let request = self.request(v1::SetRateRequest { node, collector, interval_ms, seconds });
        self.call("set the rate", self.admin().set_rate(request)).await.map(drop)
    }

    fn cluster(&self) -> ClusterServiceClient<Channel> {
        ClusterServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn query(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// The message with a deadline, so that the aggregator stops working soon after we stop waiting. A bit
    /// later than ours: tonic applies it here as well, and would tell less.
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.limit + Duration::from_millis(200));
        request
    }

    async fn call<T>(
        &self,
        action: &'static str,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, CallError> {
        let late = |_| CallError::Late { action, limit: self.limit };
        let answer = tokio::time::timeout(self.limit, answer).await.map_err(late)?;
        answer.map(Response::into_inner).map_err(|status| CallError::refused(action, &status))
    }
}

/// A stream of changes.
#[derive(Debug)]
pub struct Watch {
    stream: Streaming<v1::WatchResponse>,
}

impl Watch {
    /// The next message; `None` when the aggregator ended the stream.
    pub async fn next(&mut self) -> Result<Option<WatchEvent>, CallError> {
        loop {
            let message =
                self.stream.message().await.map_err(|status| CallError::refused("watch", &status))?;
            match message.map(|message| message.event) {
                None => return Ok(None),
                Some(Some(watch_response::Event::Full(full))) => {
                    return Ok(Some(WatchEvent::Full(full.into())));
                }
                Some(Some(watch_response::Event::Changes(new))) => {
                    return Ok(Some(WatchEvent::Changes(new.into())));
                }
                // An event of a newer protocol.
                Some(None) => {}
            }
        }
    }
}
