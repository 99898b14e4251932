//! Clients of etcd v3: as little of one as the tests need, and Debian's programs.

use std::path::{Path, PathBuf};

use prost::Message;
use raft_net::etcd::etcdserverpb::{StatusRequest, StatusResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use super::ports;
use super::process::Process;
use super::scratch::Scratch;
use super::wait;

/// A connection to whoever speaks etcd's protocol.
#[derive(Clone, Debug)]
pub(crate) struct Etcd {
    grpc: Grpc<Channel>,
}

impl Etcd {
    /// Connects when it is first used.
    pub(crate) fn new(address: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let grpc = Grpc::new(endpoint.connect_lazy());
        Self { grpc: grpc.max_decoding_message_size(usize::MAX) }
    }

    /// The same, when somebody answers.
    pub(crate) async fn connect(address: &str) -> Self {
        wait::until(&format!("answer of {address}"), async || {
            let mut etcd = Self::new(address);
            let asked: Result<StatusResponse, _> =
                etcd.call("/etcdserverpb.Maintenance/Status", StatusRequest {}).await;
            (asked.ok()?.leader != 0).then_some(etcd)
        })
        .await
    }

    /// Calls a method with a message.
    pub(crate) async fn call<Q, R>(&mut self, method: &'static str, ask: Q) -> Result<R, Status>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        self.ask(method, Request::new(ask)).await
    }

    /// The same with metadata.
    pub(crate) async fn ask<Q, R>(
        &mut self,
        method: &'static str,
        ask: Request<Q>,
    ) -> Result<R, Status>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Q, R>::default();
        let answer = self.grpc.unary(ask, PathAndQuery::from_static(method), codec).await?;
        Ok(answer.into_inner())
    }

    /// Opens a stream in both directions. Servers may say nothing before they are asked
    /// something.
    pub(crate) async fn stream<Q, R>(
        &mut self,
        method: &'static str,
        first: Q,
    ) -> Result<(mpsc::Sender<Q>, Streaming<R>), Status>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        self.stream_with(method, first, MetadataMap::new()).await
    }

    /// The same with metadata.
    pub(crate) async fn stream_with<Q, R>(
        &mut self,
        method: &'static str,
        first: Q,
        metadata: MetadataMap,
    ) -> Result<(mpsc::Sender<Q>, Streaming<R>), Status>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        let (asks, asked) = mpsc::channel(16);
        asks.send(first).await.expect("there is room");
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Q, R>::default();
        let mut asked = Request::new(ReceiverStream::new(asked));
        *asked.metadata_mut() = metadata;
        let path = PathAndQuery::from_static(method);
        Ok((asks, self.grpc.streaming(asked, path, codec).await?.into_inner()))
    }
}

impl Etcd {
    /// Asks for what is answered by several messages.
    pub(crate) async fn several<Q, R>(
        &mut self,
        method: &'static str,
        ask: Q,
    ) -> Result<Streaming<R>, Status>
    where
        Q: Message + Send + Sync + 'static,
        R: Message + Default + Send + Sync + 'static,
    {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let (codec, path) = (ProstCodec::<Q, R>::default(), PathAndQuery::from_static(method));
        Ok(self.grpc.server_streaming(Request::new(ask), path, codec).await?.into_inner())
    }
}

/// A real etcd, alone.
#[derive(Debug)]
pub(crate) struct RealEtcd {
    pub(crate) address: String,
    _process: Process,
}

impl RealEtcd {
    /// Starts it and waits until it answers.
    pub(crate) async fn start(scratch: &Scratch, program: &Path) -> Self {
        let addresses = ports::addresses(2);
        let (clients, peers) =
            (format!("http://{}", addresses[0]), format!("http://{}", addresses[1]));
        let data = scratch.join("etcd");
        let arguments = [
            "--data-dir",
            data.to_str().unwrap(),
            "--listen-client-urls",
            &clients,
            "--advertise-client-urls",
            &clients,
            "--listen-peer-urls",
            &peers,
            "--initial-advertise-peer-urls",
            &peers,
            "--initial-cluster",
            &format!("default={peers}"),
        ];
        let process = Process::start(scratch, "etcd", program.to_str().unwrap(), &arguments);
        Etcd::connect(&addresses[0]).await;
        Self { address: addresses[0].clone(), _process: process }
    }
}

/// Where a program of etcd's is, if it is here.
pub(crate) fn program(test: &str, name: &str) -> Option<PathBuf> {
    super::tools::find(test, name)
}
