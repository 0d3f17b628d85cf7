//! A client that knows nothing of us learns all it needs by reflection, and calls what it learned.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor, Value};
use prost_types::FileDescriptorProto;
use quorate_proto::v1::Liveness;
use quorate_tests::cluster::Cluster;
use quorate_tests::programs;
use std::collections::{BTreeSet, HashSet};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Both versions of the protocol have the same names.
macro_rules! reflection {
    ($version:ident) => {
        mod $version {
            use tokio_stream::once;
            use tonic::Status;
            use tonic::transport::Channel;
            use tonic_reflection::pb::$version::ServerReflectionRequest;
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
            use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;

            async fn ask(channel: &Channel, question: MessageRequest) -> Result<MessageResponse, Status> {
                let request =
                    ServerReflectionRequest { host: String::new(), message_request: Some(question) };
                let mut client = ServerReflectionClient::new(channel.clone());
                let mut answers = client.server_reflection_info(once(request)).await?.into_inner();
                let answer = answers.message().await?.ok_or_else(|| Status::internal("no answer"))?;
                answer.message_response.ok_or_else(|| Status::internal("an empty answer"))
            }

            /// The names of all services.
            pub async fn services(channel: &Channel) -> Vec<String> {
                match ask(channel, MessageRequest::ListServices(String::new())).await.unwrap() {
                    MessageResponse::ListServicesResponse(list) => {
                        list.service.into_iter().map(|service| service.name).collect()
                    }
                    other => panic!("{other:?}"),
                }
            }

            async fn files(channel: &Channel, question: MessageRequest) -> Result<Vec<Vec<u8>>, i32> {
                match ask(channel, question).await {
                    Ok(MessageResponse::FileDescriptorResponse(files)) => Ok(files.file_descriptor_proto),
                    Ok(MessageResponse::ErrorResponse(error)) => Err(error.error_code),
                    Ok(other) => panic!("{other:?}"),
                    Err(status) => Err(status.code().into()),
                }
            }

            /// The files that define a symbol.
            pub async fn symbol(channel: &Channel, name: &str) -> Result<Vec<Vec<u8>>, i32> {
                files(channel, MessageRequest::FileContainingSymbol(name.to_owned())).await
            }

            /// A file by its name.
            pub async fn file(channel: &Channel, name: &str) -> Result<Vec<Vec<u8>>, i32> {
                files(channel, MessageRequest::FileByFilename(name.to_owned())).await
            }
        }
    };
}

reflection!(v1);
reflection!(v1alpha);

/// Speaks messages that are known only by their descriptors.
#[derive(Clone)]
struct Dynamic(MethodDescriptor);

impl Codec for Dynamic {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Dynamic;
    type Decoder = Dynamic;

    fn encoder(&mut self) -> Dynamic {
        self.clone()
    }

    fn decoder(&mut self) -> Dynamic {
        self.clone()
    }
}

impl Encoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message.encode(to).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Dynamic {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let message = DynamicMessage::decode(self.0.output(), from);
        message.map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// All that is needed to speak with a service, file by file, as grpcurl asks for it.
async fn describe(channel: &Channel, service: &str) -> DescriptorPool {
    let (mut known, mut files) = (HashSet::new(), Vec::new());
    let mut found = v1::symbol(channel, service).await.unwrap();
    while let Some(bytes) = found.pop() {
        let file = FileDescriptorProto::decode(&*bytes).unwrap();
        if known.insert(file.name().to_owned()) {
            for import in &file.dependency {
                found.extend(v1::file(channel, import).await.unwrap());
            }
            files.push(file);
        }
    }
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_protos(files).unwrap();
    pool
}

async fn call(channel: &Channel, pool: &DescriptorPool, method: &str) -> Result<DynamicMessage, Status> {
    let service = pool.get_service_by_name("quorate.v1.ClusterService").unwrap();
    let method = service.methods().find(|known| known.name() == method).unwrap();
    let path = format!("/{}/{}", service.full_name(), method.name()).parse().unwrap();
    let request = Request::new(DynamicMessage::new(method.input()));
    let mut client = tonic::client::Grpc::new(channel.clone());
    client.ready().await.unwrap();
    client.unary(request, path, Dynamic(method)).await.map(tonic::Response::into_inner)
}

/// The messages in a repeated field.
fn list(message: &DynamicMessage, field: &str) -> Vec<DynamicMessage> {
    let value = message.get_field_by_name(field).unwrap();
    let list = value.as_list().unwrap();
    list.iter().map(|item| item.as_message().unwrap().clone()).collect()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message.get_field_by_name(field).unwrap().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_described_can_be_called() {
    let (cluster, _agents) = Cluster::with_voters(programs!(), &["n1", "n2"]).await;
    let channel = &cluster.channel;
    let pool = describe(channel, "quorate.v1.ClusterService").await;
    let health = call(channel, &pool, "GetHealth").await.unwrap();
    let clusters = list(&health, "clusters");
    assert_eq!((clusters.len(), text(&clusters[0], "cluster")), (1, "default".to_owned()));
    assert_eq!(clusters[0].get_field_by_name("total_nodes").unwrap().as_u32(), Some(2));
    let nodes = list(&call(channel, &pool, "ListNodes").await.unwrap(), "nodes");
    assert_eq!(nodes.iter().map(|node| text(node, "name")).collect::<Vec<_>>(), ["n1", "n2"]);
    for node in &nodes {
        assert_eq!(*node.get_field_by_name("liveness").unwrap(), Value::EnumNumber(Liveness::Up.into()));
    }
}

#[tokio::test]
async fn both_versions_of_reflection_describe_all_that_is_served() {
    let cluster = Cluster::start(programs!()).await;
    let channel = &cluster.channel;
    let new: BTreeSet<String> = v1::services(channel).await.into_iter().collect();
    let old: BTreeSet<String> = v1alpha::services(channel).await.into_iter().collect();
    assert_eq!(new, old);
    for name in ["ClusterService", "QueryService", "AdminService", "DiagnosticService", "IngestService"] {
        assert!(new.contains(&format!("quorate.v1.{name}")), "{new:?}");
    }
    for name in ["health.v1.Health", "reflection.v1.ServerReflection", "reflection.v1alpha.ServerReflection"]
    {
        assert!(new.contains(&format!("grpc.{name}")), "{new:?}");
    }
    // It is served on its own port only.
    assert!(!new.contains("quorate.v1.EnrolmentService"), "{new:?}");
    for service in &new {
        let described = v1::symbol(channel, service).await;
        assert!(described.is_ok_and(|files| !files.is_empty()), "{service} by v1");
        let described = v1alpha::symbol(channel, service).await;
        assert!(described.is_ok_and(|files| !files.is_empty()), "{service} by v1alpha");
    }
    assert_eq!(v1::symbol(channel, "quorate.v1.Nothing").await, Err(Code::NotFound.into()));
    assert_eq!(v1alpha::file(channel, "nothing.proto").await, Err(Code::NotFound.into()));
}

#[tokio::test]
async fn health_is_served_and_unknown_methods_are_unimplemented() {
    let cluster = Cluster::start(programs!()).await;
    let mut health = HealthClient::new(cluster.channel.clone());
    for service in ["", "quorate.v1.ClusterService", "quorate.v1.IngestService"] {
        let request = HealthCheckRequest { service: service.into() };
        let answer =
            health.check(request).await.unwrap_or_else(|error| panic!("{service}: {error}")).into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = HealthCheckRequest { service: "nothing".into() };
    assert_eq!(health.check(unknown).await.unwrap_err().code(), Code::NotFound);
    let pool = describe(&cluster.channel, "quorate.v1.ClusterService").await;
    let method = pool.get_service_by_name("quorate.v1.ClusterService").unwrap().methods().next().unwrap();
    for path in ["/quorate.v1.ClusterService/Nothing", "/quorate.v9.Nothing/Nothing"] {
        let mut client = tonic::client::Grpc::new(cluster.channel.clone());
        client.ready().await.unwrap();
        let request = Request::new(DynamicMessage::new(method.input()));
        let error = client.unary(request, path.parse().unwrap(), Dynamic(method.clone())).await.unwrap_err();
        assert_eq!(error.code(), Code::Unimplemented, "{path}: {error}");
    }
}
