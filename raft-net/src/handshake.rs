//! The handshake: who may talk to whom, and the proof of the cluster secret.
//!
//! With a secret, both ends prove that they hold it by an HMAC over everything that both have
//! said, with a label for the direction, so that no proof can be replayed, reflected, or used
//! for another pair of nodes or another link. The secret must be long: who sees a proof can
//! guess at leisure.

use std::fmt;
use std::io;

use bytes::BytesMut;
use hmac::{Hmac, KeyInit, Mac};
use raft_core::types::{Incarnation, NodeId};
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::client_protocol::Hello;
use crate::frame::{self, FrameError, Frames, PREFACE_FRAME_BYTES_MAX};
use crate::peer_codec::Ends;
use crate::preface::{
    self, Greeting, LinkClass, Nonce, Preface, Proof, Refused, Role, VERSION_MAX, VERSION_MIN,
    Welcome, Why,
};

/// Who a node is, to the nodes that it meets.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The cluster.
    pub cluster_id: u64,
    /// The node.
    pub node_id: NodeId,
    /// Its data directory.
    pub incarnation: Incarnation,
    /// What every node of the cluster knows and nobody else, if the cluster has one.
    pub secret: Option<ClusterSecret>,
    /// Where others reach the node, which it tells whom it calls; empty if it cannot tell.
    pub address: String,
    /// The highest feature level that the node applies.
    pub feature_level: u16,
}

/// The secret of a cluster. Never printed.
#[derive(Clone)]
pub struct ClusterSecret(Vec<u8>);

impl ClusterSecret {
    /// A secret of these bytes.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// What a proof that its maker holds the secret begins with.
    pub(crate) fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(&self.0).expect("HMAC takes any key length")
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(hidden)")
    }
}

/// What a node takes on a link beside envelopes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takes {
    /// Messages on channels.
    pub(crate) channels: bool,
    /// Questions about itself, and answers to its own.
    pub(crate) monitor: bool,
}

/// Why two ends did not come together.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The connection failed or ended.
    #[error("the connection ended during the handshake: {0}")]
    Lost(#[from] io::Error),
    /// What arrived is not a word of the preface: something else than a node is there.
    #[error("what answers there does not speak this protocol ({0}); check the address")]
    NotKvorum(#[from] FrameError),
    /// The other end says no.
    #[error("refused by the other end: {0}")]
    Refused(Refused),
    /// This end says no.
    #[error("{0}")]
    Refuses(Refused),
}

impl HandshakeError {
    /// Whether trying again soon is of no use: somebody must change something first.
    #[must_use]
    pub fn needs_a_person(&self) -> bool {
        match self {
            Self::Lost(_) => false,
            Self::NotKvorum(_) | Self::Refused(_) | Self::Refuses(_) => true,
        }
    }
}

/// Whether a node with this identity lets a connection with this preface in, and the version
/// that both then speak.
///
/// Errors: the refusal to send back before closing.
pub fn judge(identity: &Identity, preface: &Preface) -> Result<u16, Refused> {
    let own = identity.node_id;
    let refuse = |why, text| Err(Refused { why, text });
    let Some(version) = preface.common_version() else {
        let (min, max) = (preface.version_min, preface.version_max);
        return refuse(
            Why::NoCommonVersion,
            format!(
                "n{own} speaks versions {VERSION_MIN} to {VERSION_MAX}, the other end {min} to \
                 {max}; upgrade one version at a time"
            ),
        );
    };
    let is_client = preface.role == Role::Client;
    if preface.cluster_id != identity.cluster_id && !(is_client && preface.cluster_id == 0) {
        return refuse(
            Why::WrongCluster,
            format!(
                "n{own} belongs to cluster {:016x}, not to {:016x}; check the address, or start \
                 the node that asks with the data directory of this cluster",
                identity.cluster_id, preface.cluster_id
            ),
        );
    }
    if is_client {
        return Ok(version);
    }
    let Some(peer) = NodeId::new(preface.node_id) else {
        return refuse(Why::Malformed, "a peer must name its node id, which is not 0".to_owned());
    };
    if peer == own && preface.incarnation == identity.incarnation.0 {
        return refuse(
            Why::WrongNode,
            format!("the address of n{} leads back to n{own} itself; correct it", preface.to),
        );
    }
    if peer == own {
        return refuse(
            Why::TwoNodesWithOneId,
            format!("n{own} runs already, on another data directory; give each node its own id"),
        );
    }
    if preface.to != 0 && preface.to != own.number() {
        return refuse(
            Why::WrongNode,
            format!("n{own} listens at the address of n{}; correct the address", preface.to),
        );
    }
    match (&identity.secret, preface.secret) {
        (Some(_), true) | (None, false) => Ok(version),
        (Some(_), false) => refuse(
            Why::SecretMissing,
            format!("n{own} has a cluster secret and n{peer} has none; start n{peer} with it"),
        ),
        (None, true) => refuse(
            Why::SecretMissing,
            format!("n{peer} has a cluster secret and n{own} has none; start n{own} with it"),
        ),
    }
}

/// Lets a peer in whose preface was accepted: sends the welcome and, with a secret, waits for
/// the proof. What arrived behind it stays in `input`.
///
/// Errors: `HandshakeError`; the caller should close the connection.
pub(crate) async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    identity: &Identity,
    preface: &Preface,
    version: u16,
) -> Result<(), HandshakeError> {
    let mut welcome = Welcome {
        version,
        cluster_id: identity.cluster_id,
        node_id: identity.node_id.number(),
        incarnation: identity.incarnation.0,
        nonce: Nonce::random(),
        proof: Vec::new(),
        channels: true,
        monitor: true,
    };
    if let Some(secret) = &identity.secret {
        welcome.proof = prove(secret, Side::Acceptor, preface, &welcome);
    }
    send(stream, &Greeting::Welcome(welcome.clone())).await?;
    let Some(secret) = &identity.secret else { return Ok(()) };
    let Proof { proof } = frame::read(&read_frame(stream, input).await?)?;
    if is_proof(secret, Side::Initiator, preface, &welcome, &proof) {
        return Ok(());
    }
    let text = format!(
        "the cluster secrets of n{} and n{} differ; start both with the same one",
        preface.node_id, identity.node_id
    );
    let refused = Refused { why: Why::SecretWrong, text };
    send(stream, &Greeting::Refused(refused.clone())).await?;
    Err(HandshakeError::Refuses(refused))
}

/// Opens a connection as a node that expects `to` at the other end. What arrived behind the
/// handshake is returned, and what the other end takes beside envelopes.
///
/// Errors: `HandshakeError`; the caller should close the connection and say so in the log.
pub(crate) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    identity: &Identity,
    to: NodeId,
    link: LinkClass,
) -> Result<(BytesMut, Takes), HandshakeError> {
    let mut input = BytesMut::new();
    let (preface, welcome) = be_welcomed(stream, &mut input, (identity, to, link)).await?;
    if let Some(secret) = &identity.secret {
        let proof = prove(secret, Side::Initiator, &preface, &welcome);
        send(stream, &Proof { proof }).await?;
    }
    let Welcome { channels, monitor, .. } = welcome;
    Ok((input, Takes { channels, monitor }))
}

/// Asks the node `to` whether it would let a node with this identity in, and checks its proof
/// of the cluster secret. The connection is of no use afterwards. Has no deadline of its own.
///
/// Errors: `HandshakeError` says what a link between the two would fail for.
pub async fn try_as_peer<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    identity: &Identity,
    to: NodeId,
) -> Result<(), HandshakeError> {
    let mut input = BytesMut::new();
    be_welcomed(stream, &mut input, (identity, to, LinkClass::Control)).await.map(drop)
}

/// Says who this is, and judges the welcome.
async fn be_welcomed<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    (identity, to, link): (&Identity, NodeId, LinkClass),
) -> Result<(Preface, Welcome), HandshakeError> {
    let preface = Preface {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
        role: Role::Peer { link },
        cluster_id: identity.cluster_id,
        node_id: identity.node_id.number(),
        to: to.number(),
        incarnation: identity.incarnation.0,
        secret: identity.secret.is_some(),
        nonce: Nonce::random(),
        address: identity.address.clone(),
        feature_level: identity.feature_level,
    };
    let welcome = match greet(stream, input, &preface).await? {
        Greeting::Welcome(welcome) => welcome,
        Greeting::Refused(refused) => return Err(HandshakeError::Refused(refused)),
        Greeting::Hello(_) => return Err(not_for_us("a hello for clients")),
    };
    judge_welcome(identity, to, &preface, &welcome).map_err(HandshakeError::Refuses)?;
    Ok((preface, welcome))
}

/// Opens a connection as a client. `cluster_id` is 0 if any cluster will do. Returns the node's
/// hello and what arrived behind it. Has no deadline of its own.
///
/// Errors: `HandshakeError`; the caller should close the connection and try another node.
pub async fn open_as_client<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    cluster_id: u64,
) -> Result<(Hello, BytesMut), HandshakeError> {
    let mut input = BytesMut::new();
    match greet(stream, &mut input, &Preface::client(cluster_id)).await? {
        Greeting::Hello(hello) if (VERSION_MIN..=VERSION_MAX).contains(&hello.version) => {
            Ok((hello, input))
        }
        Greeting::Hello(_) => Err(not_for_us("a version that was not offered")),
        Greeting::Welcome(_) => Err(not_for_us("a welcome for peers")),
        Greeting::Refused(refused) => Err(HandshakeError::Refused(refused)),
    }
}

/// Sends a word of the preface.
pub(crate) async fn send<S, T>(stream: &mut S, word: &T) -> io::Result<()>
where
    S: AsyncWrite + Unpin,
    T: serde::Serialize,
{
    let mut output = BytesMut::new();
    preface::put(&mut output, word);
    stream.write_all(&output).await?;
    stream.flush().await
}

/// Waits for a frame of the preface's size.
pub(crate) async fn read_frame<S: AsyncRead + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
) -> Result<BytesMut, HandshakeError> {
    let mut frames = Frames::new(PREFACE_FRAME_BYTES_MAX);
    loop {
        if let Some(frame) = frames.next(input)? {
            return Ok(frame);
        }
        if stream.read_buf(input).await? == 0 {
            return Err(HandshakeError::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    input: &mut BytesMut,
    preface: &Preface,
) -> Result<Greeting, HandshakeError> {
    let mut output = BytesMut::new();
    preface.open(&mut output);
    stream.write_all(&output).await?;
    stream.flush().await?;
    Ok(Greeting::decode(&read_frame(stream, input).await?)?)
}

fn not_for_us(what: &str) -> HandshakeError {
    HandshakeError::NotKvorum(FrameError::NotMessagePack(format!("it answered with {what}")))
}

/// The dialling node's half of [`judge`].
fn judge_welcome(
    identity: &Identity,
    to: NodeId,
    preface: &Preface,
    welcome: &Welcome,
) -> Result<(), Refused> {
    let refuse = |why, text| Err(Refused { why, text });
    if welcome.cluster_id != identity.cluster_id {
        let (theirs, ours) = (welcome.cluster_id, identity.cluster_id);
        return refuse(
            Why::WrongCluster,
            format!("it belongs to cluster {theirs:016x}, not to {ours:016x}; check the address"),
        );
    }
    if welcome.node_id != to.number() {
        return refuse(
            Why::WrongNode,
            format!("n{} listens there, not n{to}; correct the address", welcome.node_id),
        );
    }
    if !(VERSION_MIN..=VERSION_MAX).contains(&welcome.version) {
        return refuse(
            Why::NoCommonVersion,
            format!("n{to} chose version {}, which was not offered", welcome.version),
        );
    }
    match &identity.secret {
        None if welcome.proof.is_empty() => Ok(()),
        None => refuse(
            Why::SecretMissing,
            format!("n{to} has a cluster secret and this node has none; start it with the secret"),
        ),
        Some(_) if welcome.proof.is_empty() => refuse(
            Why::SecretMissing,
            format!("n{to} has no cluster secret and this node has one; start n{to} with it"),
        ),
        Some(secret) if !is_proof(secret, Side::Acceptor, preface, welcome, &welcome.proof) => {
            refuse(
                Why::SecretWrong,
                format!("the cluster secret of n{to} differs from the one here; use the same"),
            )
        }
        Some(_) => Ok(()),
    }
}

/// Who proves: without it, a proof could be sent back to its maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Initiator,
    Acceptor,
}

fn prove(secret: &ClusterSecret, side: Side, preface: &Preface, welcome: &Welcome) -> Vec<u8> {
    transcript(secret, side, preface, welcome).finalize().into_bytes().to_vec()
}

/// In constant time.
fn is_proof(
    secret: &ClusterSecret,
    side: Side,
    preface: &Preface,
    welcome: &Welcome,
    proof: &[u8],
) -> bool {
    transcript(secret, side, preface, welcome).verify_slice(proof).is_ok()
}

/// Every field has a fixed width, so no two handshakes have the same transcript.
fn transcript(
    secret: &ClusterSecret,
    side: Side,
    preface: &Preface,
    welcome: &Welcome,
) -> Hmac<Sha256> {
    let mut mac = secret.mac();
    mac.update(match side {
        Side::Initiator => b"kvorum initiator",
        Side::Acceptor => b"kvorum acceptor ",
    });
    mac.update(&[match preface.role {
        Role::Client => 0,
        Role::Peer { link: LinkClass::Control } => 1,
        Role::Peer { link: LinkClass::Bulk } => 2,
    }]);
    for version in [preface.version_min, preface.version_max, welcome.version] {
        mac.update(&version.to_be_bytes());
    }
    for number in [preface.cluster_id, preface.node_id, preface.to, preface.incarnation] {
        mac.update(&number.to_be_bytes());
    }
    mac.update(&preface.nonce.0);
    for number in [welcome.cluster_id, welcome.node_id, welcome.incarnation] {
        mac.update(&number.to_be_bytes());
    }
    mac.update(&welcome.nonce.0);
    mac
}

/// The ends of a connection that this peer opened, once its preface is accepted.
///
/// Panics: on the preface of a client, which has no node id.
pub(crate) fn ends(identity: &Identity, preface: &Preface) -> Ends {
    Ends {
        from: NodeId::new(preface.node_id).expect("an accepted peer has a node id"),
        incarnation: Incarnation(preface.incarnation),
        to: identity.node_id,
    }
}
