//! Beacons: what nodes say of themselves to whoever listens on a multicast group.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | magic, `kvorum\0b` |
//! | 1 | version, 1 |
//! | 1 | how many bytes of proof end the datagram: 0, or 32 |
//! | … | the beacon: MessagePack, a map (`docs/discovery.md`) |
//! | 0 or 32 | HMAC-SHA256 with the cluster secret over all before |
//!
//! Whoever has a secret hears only those who prove that they have it too. Fields are only
//! appended; a reader ignores those that it does not know.

use hmac::{Hmac, Mac};
use raft_core::configuration::ADDRESS_BYTES_MAX;
use raft_core::types::{Incarnation, NodeId};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::frame;
use crate::handshake::ClusterSecret;

/// The longest beacon. A longer datagram is none.
pub const BEACON_BYTES_MAX: usize = 1_024;

/// The first bytes of every beacon.
const MAGIC: [u8; 8] = *b"kvorum\0b";

/// The version of the layout above that this code speaks.
const VERSION: u8 = 1;

/// Bytes before the map.
const HEAD_BYTES: usize = MAGIC.len() + 2;

/// The length of a proof.
const PROOF_BYTES: usize = 32;

/// Keeps proofs of beacons apart from those of handshakes.
const LABEL: &[u8] = b"kvorum beacon";

/// A beacon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beacon {
    /// Drawn when the sender's process began to listen, so that it knows its own beacons.
    pub sender: u64,
    /// Where the sender is reached, as `host:port`.
    pub address: String,
    /// What it says.
    pub says: Says,
}

/// What a beacon says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Says {
    /// The sender's directory is empty.
    Seeks(Seeks),
    /// The sender belongs to a cluster.
    Belongs(Belongs),
}

/// What a node with an empty directory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seeks {
    /// Its place among those who could found.
    pub rank: Rank,
    /// How many nodes it waits for before anybody founds, if it was told.
    #[serde(default)]
    pub expects: Option<u32>,
    /// The rank of the one whose founding it has endorsed, on its disk.
    #[serde(default)]
    pub endorses: Option<Rank>,
}

/// Says which of several empty nodes founds: the lowest.
///
/// Drawn once and then only compared, so that two nodes never disagree about it however their
/// clocks go: the time makes the one that was started first the lowest, if clocks are near.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rank {
    /// The sender's wall clock when it began. Units: milliseconds since 1970.
    pub since_ms: u64,
    /// Drawn at random.
    pub chance: u64,
}

/// What a member of a cluster says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Belongs {
    /// The cluster.
    pub cluster_id: u64,
    /// The node.
    pub node_id: u64,
    /// Its data directory; 0 while that is being made.
    pub incarnation: u64,
    /// Whether the node is the only member of its cluster.
    #[serde(default)]
    pub is_alone: bool,
    /// Whether there may be anything of a client's in its cluster.
    #[serde(default)]
    pub has_data: bool,
}

impl Belongs {
    /// Whether the cluster could be given up without losing anything.
    #[must_use]
    pub fn can_dissolve(&self) -> bool {
        self.is_alone && !self.has_data
    }

    /// The node, if its id is one.
    #[must_use]
    pub fn node(&self) -> Option<(NodeId, Incarnation)> {
        NodeId::new(self.node_id).map(|id| (id, Incarnation(self.incarnation)))
    }
}

/// Why a datagram is not heard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeaconError {
    /// Something else is sent to the group.
    #[error("what is sent there is no beacon")]
    NotABeacon,
    /// A later program speaks.
    #[error("it speaks version {0} of beacons and this program version {VERSION}; upgrade it")]
    Version(u8),
    /// It begins as a beacon, and goes on as none.
    #[error("its beacon makes no sense: {0}")]
    Malformed(String),
    /// The sender has no secret, or does not prove it.
    #[error("it has no cluster secret and this node has one; start it with the secret")]
    ProofMissing,
    /// The sender has a secret and this node has none.
    #[error("it has a cluster secret and this node has none; start this node with it")]
    ProofUnexpected,
    /// The sender has another secret.
    #[error("its cluster secret differs from the one here; use the same, or another --multicast")]
    ProofWrong,
}

/// Writes beacons and reads them.
#[derive(Clone, Debug)]
pub struct BeaconCodec {
    secret: Option<ClusterSecret>,
}

impl BeaconCodec {
    /// For nodes that know this secret, or for those without one.
    #[must_use]
    pub fn new(secret: Option<ClusterSecret>) -> Self {
        Self { secret }
    }

    /// The datagram of a beacon.
    ///
    /// Panics: if the address is longer than `ADDRESS_BYTES_MAX`.
    #[must_use]
    pub fn encode(&self, beacon: &Beacon) -> Vec<u8> {
        assert!(beacon.address.len() <= ADDRESS_BYTES_MAX, "an address is short");
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        bytes.push(if self.secret.is_some() { 32 } else { 0 });
        let map = rmp_serde::to_vec_named(beacon).expect("a beacon is plain data");
        bytes.extend_from_slice(&map);
        if let Some(secret) = &self.secret {
            let proof = proof(secret, &bytes).finalize().into_bytes();
            bytes.extend_from_slice(&proof);
        }
        assert!(bytes.len() <= BEACON_BYTES_MAX, "a beacon is short");
        bytes
    }

    /// The beacon in a datagram.
    ///
    /// Errors: `BeaconError`; it is to be ignored, and may be told.
    pub fn decode(&self, datagram: &[u8]) -> Result<Beacon, BeaconError> {
        let rest = datagram.strip_prefix(&MAGIC).ok_or(BeaconError::NotABeacon)?;
        let (&[version, proof_bytes], _) =
            rest.split_first_chunk().ok_or(BeaconError::NotABeacon)?;
        if version != VERSION {
            return Err(BeaconError::Version(version));
        }
        let malformed = |what: &str| BeaconError::Malformed(what.to_owned());
        if BEACON_BYTES_MAX < datagram.len() {
            return Err(malformed("it is too long"));
        }
        let proof_bytes = usize::from(proof_bytes);
        if proof_bytes != 0 && proof_bytes != PROOF_BYTES {
            return Err(malformed("its proof has a strange length"));
        }
        let end = datagram.len().checked_sub(proof_bytes).filter(|end| HEAD_BYTES < *end);
        let (said, given) = datagram.split_at(end.ok_or_else(|| malformed("it is cut short"))?);
        match &self.secret {
            None if given.is_empty() => {}
            None => return Err(BeaconError::ProofUnexpected),
            Some(_) if given.is_empty() => return Err(BeaconError::ProofMissing),
            Some(secret) => {
                proof(secret, said).verify_slice(given).map_err(|_| BeaconError::ProofWrong)?;
            }
        }
        let beacon: Beacon =
            frame::read(&said[HEAD_BYTES..]).map_err(|error| malformed(&error.to_string()))?;
        check(&beacon).map_err(malformed)?;
        Ok(beacon)
    }
}

/// Whether what a beacon says can be.
fn check(beacon: &Beacon) -> Result<(), &'static str> {
    let address = &beacon.address;
    let is_short = (1..=ADDRESS_BYTES_MAX).contains(&address.len());
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    let has_port = port.and_then(|(_, port)| port.parse().ok()).is_some_and(|port: u16| port != 0);
    let is_plain = !address.contains(|c: char| c.is_control() || c.is_whitespace());
    if !(is_short && has_port && is_plain) {
        return Err("its address is none");
    }
    match &beacon.says {
        Says::Belongs(belongs) if belongs.node_id == 0 => Err("it names no node"),
        Says::Belongs(_) | Says::Seeks(_) => Ok(()),
    }
}

fn proof(secret: &ClusterSecret, said: &[u8]) -> Hmac<Sha256> {
    let mut mac = secret.mac();
    mac.update(LABEL);
    mac.update(said);
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seeks() -> Beacon {
        let rank = Rank { since_ms: 5, chance: 7 };
        let says = Says::Seeks(Seeks { rank, expects: Some(3), endorses: Some(rank) });
        Beacon { sender: 9, address: "127.0.0.1:2379".to_owned(), says }
    }

    fn belongs() -> Beacon {
        let says = Says::Belongs(Belongs {
            cluster_id: u64::MAX,
            node_id: 1,
            incarnation: u64::MAX,
            is_alone: true,
            has_data: false,
        });
        Beacon { sender: u64::MAX, address: format!("{}:1", "h".repeat(253)), says }
    }

    fn with(secret: &str) -> BeaconCodec {
        BeaconCodec::new(Some(ClusterSecret::new(secret)))
    }

    #[test]
    fn beacons_read_back_with_and_without_a_secret() {
        for codec in [BeaconCodec::new(None), with("s")] {
            for beacon in [seeks(), belongs()] {
                assert_eq!(codec.decode(&codec.encode(&beacon)), Ok(beacon));
            }
        }
    }

    /// The bytes may change only with the version.
    #[test]
    fn the_bytes_of_version_1() {
        let hex: String =
            BeaconCodec::new(None).encode(&seeks()).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, GOLDEN);
    }

    const GOLDEN: &str = "6b766f72756d006201\
        0083a673656e64657209a761646472657373ae3132372e302e302e313a32333739a47361797381a57365656b73\
        83a472616e6b82a873696e63655f6d7305a66368616e636507a76578706563747303a8656e646f7273657382a8\
        73696e63655f6d7305a66368616e636507";

    #[test]
    fn who_has_another_secret_or_none_is_not_heard() {
        let bare = BeaconCodec::new(None);
        let said = with("one").encode(&seeks());
        assert_eq!(with("two").decode(&said), Err(BeaconError::ProofWrong));
        assert_eq!(bare.decode(&said), Err(BeaconError::ProofUnexpected));
        assert_eq!(with("one").decode(&bare.encode(&seeks())), Err(BeaconError::ProofMissing));
        for place in HEAD_BYTES..said.len() {
            let mut altered = said.clone();
            altered[place] ^= 1;
            let found = with("one").decode(&altered);
            assert_eq!(found, Err(BeaconError::ProofWrong), "altered at {place}");
        }
    }

    #[test]
    fn whatever_is_cut_or_altered_is_refused_or_a_beacon() {
        let codec = BeaconCodec::new(None);
        for beacon in [seeks(), belongs()] {
            let said = codec.encode(&beacon);
            for end in 0..said.len() {
                codec.decode(&said[..end]).unwrap_err();
            }
            for place in 0..said.len() {
                for bit in 0..8 {
                    let mut altered = said.clone();
                    altered[place] ^= 1 << bit;
                    if let Ok(read) = codec.decode(&altered) {
                        assert_eq!(codec.decode(&codec.encode(&read)), Ok(read));
                    }
                }
            }
            codec.decode(&[&said[..], b"x"].concat()).unwrap_err();
        }
        let long = [&codec.encode(&seeks())[..], &[0; BEACON_BYTES_MAX]].concat();
        assert!(matches!(codec.decode(&long), Err(BeaconError::Malformed(_))));
    }

    #[test]
    fn what_cannot_be_is_said_in_a_line() {
        let codec = BeaconCodec::new(None);
        for address in ["", "a", "a:0", ":1", "a:x", "a\n:1", "a b:1"] {
            let error = codec.decode(&codec.encode(&Beacon { address: address.into(), ..seeks() }));
            let error = error.unwrap_err().to_string();
            assert!(error.contains("its address is none") && !error.contains('\n'), "{address:?}");
        }
        let mut later = codec.encode(&seeks());
        later[8] = 2;
        assert_eq!(codec.decode(&later), Err(BeaconError::Version(2)));
        assert_eq!(codec.decode(b"GET / HTTP/1.1\r\n"), Err(BeaconError::NotABeacon));
    }
}
