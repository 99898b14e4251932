//! As much of an etcd v3 client as a load needs: put, range, status and watch over gRPC.

pub mod load;
pub mod messages;

use std::time::Duration;

use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use self::messages::{
    PutRequest, PutResponse, RangeRequest, RangeResponse, StatusRequest, StatusResponse,
    WatchRequest, WatchResponse,
};
use crate::error::BenchError;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// One HTTP/2 connection to an etcd member. Clones share it.
#[derive(Clone, Debug)]
pub struct EtcdClient {
    grpc: Grpc<Channel>,
}

impl EtcdClient {
    /// A client of the member at `host:port`, which connects when it is first used and again
    /// whenever the connection is lost.
    ///
    /// Errors: `BenchError::Setting` if the address makes no sense.
    pub fn new(address: &str) -> Result<Self, BenchError> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| BenchError::Setting(format!("endpoint {address}: {error}")))?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true);
        Ok(Self { grpc: Grpc::new(endpoint.connect_lazy()) })
    }

    /// Sets a key. Has no deadline of its own.
    ///
    /// Errors: as gRPC tells them; the caller counts them.
    pub async fn put(&mut self, request: PutRequest) -> Result<PutResponse, Status> {
        self.call("/etcdserverpb.KV/Put", request).await
    }

    /// Reads keys, linearizably unless the request says otherwise.
    ///
    /// Errors: as [`EtcdClient::put`].
    pub async fn range(&mut self, request: RangeRequest) -> Result<RangeResponse, Status> {
        self.call("/etcdserverpb.KV/Range", request).await
    }

    /// What the member says of itself.
    ///
    /// Errors: as [`EtcdClient::put`].
    pub async fn status(&mut self) -> Result<StatusResponse, Status> {
        self.call("/etcdserverpb.Maintenance/Status", StatusRequest {}).await
    }

    /// Opens a stream of watches, which are begun by what comes out of `requests`.
    ///
    /// Errors: as [`EtcdClient::put`].
    pub async fn watch(
        &mut self,
        requests: tokio::sync::mpsc::Receiver<WatchRequest>,
    ) -> Result<Streaming<WatchResponse>, Status> {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
        let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
        let requests = Request::new(ReceiverStream::new(requests));
        Ok(self.grpc.streaming(requests, path, codec).await?.into_inner())
    }

    async fn call<Q, A>(&mut self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        self.grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let codec = ProstCodec::<Q, A>::default();
        let path = PathAndQuery::from_static(path);
        Ok(self.grpc.unary(Request::new(request), path, codec).await?.into_inner())
    }
}
