//! How a node with an empty directory listens, before there is a node: the decisions are
//! [`Seeking`]'s.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{info, warn};

use super::asking::{PASSED_ON_MAX, Told};
use super::beacon::{Beacon, BeaconCodec, BeaconError, Rank, Says};
use super::complaints::Complaints;
use super::seeking::{Place, SEEK_INTERVAL_MS, SILENCE_MS, Seeking, Step};
use super::socket::{BeaconSocket, SAY_AGAIN};
use super::voice::Voice;

/// When a line says first what is waited for, and how often it is repeated. Units: milliseconds.
const WAITING_LINE_MS: u64 = SILENCE_MS + 1_000;
const WAITING_PAUSE_MS: u64 = 30_000;

/// How a search ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This node is to found a cluster, and to announce it.
    Found,
    /// This node is to join a cluster.
    Join(Place),
}

/// A search for a cluster.
#[derive(Debug)]
pub struct Search {
    codec: BeaconCodec,
    sender: u64,
    address: String,
    seeking: Seeking,
    since: Instant,
    complaints: Complaints,
    tells_ms: u64,
    /// What was heard last of each sender itself, and when.
    heard: BTreeMap<u64, (u64, Vec<u8>)>,
}

impl Search {
    /// A search that begins now.
    #[must_use]
    pub fn new(
        codec: BeaconCodec,
        (sender, address): (u64, String),
        seeks: super::beacon::Seeks,
    ) -> Self {
        let seeking = Seeking::new(sender, seeks, 0);
        let (since, complaints) = (Instant::now(), Complaints::default());
        Self {
            codec,
            sender,
            address,
            seeking,
            since,
            complaints,
            tells_ms: 0,
            heard: BTreeMap::new(),
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Listens and speaks until it is decided what to do; a search can be run again if nothing
    /// came of that. `endorse` makes an endorsement durable.
    ///
    /// Errors: those of the system, and of `endorse`.
    pub async fn run(
        &mut self,
        voice: &mut Voice,
        mut endorse: impl FnMut(Rank) -> io::Result<()>,
    ) -> io::Result<Outcome> {
        let mut turns = interval(Duration::from_millis(SEEK_INTERVAL_MS));
        turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now_ms = self.now_ms();
        self.seeking.start_anew(now_ms);
        self.tells_ms = now_ms + WAITING_LINE_MS;
        loop {
            tokio::select! {
                datagrams = voice.receive() => self.hear(datagrams?),
                _ = turns.tick() => {
                    if let Some(outcome) = self.take_turn(voice, &mut endorse)? {
                        return Ok(outcome);
                    }
                }
            }
        }
    }

    fn hear(&mut self, told: Vec<Told>) {
        let now_ms = self.now_ms();
        for Told { datagram: (datagram, from), is_own } in told {
            match self.codec.decode(&datagram) {
                Ok(beacon) => {
                    self.seeking.hear(&beacon, now_ms);
                    // What was passed on is not passed on again: it would never be forgotten.
                    let has_room = self.heard.len() < PASSED_ON_MAX;
                    if is_own
                        && beacon.sender != self.sender
                        && (has_room || self.heard.contains_key(&beacon.sender))
                    {
                        self.heard.insert(beacon.sender, (now_ms, datagram));
                    }
                }
                Err(error) => complain(&mut self.complaints, &error, from, now_ms),
            }
        }
    }

    fn take_turn(
        &mut self,
        voice: &mut Voice,
        endorse: &mut impl FnMut(Rank) -> io::Result<()>,
    ) -> io::Result<Option<Outcome>> {
        // Nothing is decided before everything that is there was heard.
        self.hear(voice.take());
        let now_ms = self.now_ms();
        if !voice.is_listening() {
            self.seeking.is_deaf(now_ms);
        }
        let step = self.seeking.turn(now_ms);
        match step {
            Step::Found => return Ok(Some(Outcome::Found)),
            Step::Join(place) => return Ok(Some(Outcome::Join(place))),
            Step::Endorse(founder) => {
                endorse(founder)?;
                self.seeking.endorsed(founder);
            }
            Step::Torn(places) if self.complaints.about("torn", now_ms) => {
                let shown = |place: &Place| {
                    format!("{:016x} at {}", place.cluster_id, place.addresses.join(", "))
                };
                let places: Vec<String> = places.iter().map(shown).collect();
                warn!(
                    "clusters with data are near: {}; say which one is meant with --join \
                     HOST:PORT, or give each its own --multicast",
                    places.join("; ")
                );
            }
            Step::Torn(_) => {}
            Step::Wait => self.tell_what_is_waited_for(now_ms),
        }
        self.say(voice, now_ms);
        Ok(None)
    }

    fn say(&mut self, voice: &Voice, now_ms: u64) {
        self.heard.retain(|_, (at_ms, _)| now_ms.saturating_sub(*at_ms) < SEEK_INTERVAL_MS * 4);
        let others: Vec<Vec<u8>> = self.heard.values().map(|(_, bytes)| bytes.clone()).collect();
        let others = others.into_iter();
        let says = Says::Seeks(self.seeking.seeks());
        let beacon = Beacon { sender: self.sender, address: self.address.clone(), says };
        if let Err(error) = voice.say(self.codec.encode(&beacon), others)
            && self.complaints.about("send", now_ms)
        {
            warn!("cannot send beacons: {error}; going on without");
        }
    }

    fn tell_what_is_waited_for(&mut self, now_ms: u64) {
        if now_ms < self.tells_ms {
            return;
        }
        self.tells_ms = now_ms + WAITING_PAUSE_MS;
        let (heard, seeks) = (self.seeking.seekers(), self.seeking.seeks());
        let count = heard.len() + 1;
        let heard = heard.join(", ");
        match (seeks.expects, seeks.endorses) {
            (Some(expects), None) => {
                info!("waiting for {expects} empty nodes: {count} are here, this one and {heard}");
            }
            (_, Some(founder)) if founder != seeks.rank => info!(
                "waiting for the node whose founding this one has endorsed; if its directory is \
                 lost, empty those of all that endorsed it; here are {heard}"
            ),
            (..) => info!("waiting for another node to found the cluster, one of {heard}"),
        }
    }
}

/// Writes a line about a datagram that is ignored, if one is due.
pub(super) fn complain(
    complaints: &mut Complaints,
    error: &BeaconError,
    from: SocketAddr,
    now_ms: u64,
) {
    let subject = match error {
        BeaconError::NotABeacon | BeaconError::Malformed(_) => "malformed",
        BeaconError::Version(_) => "version",
        BeaconError::ProofMissing => "missing",
        BeaconError::ProofUnexpected => "unexpected",
        BeaconError::ProofWrong => "wrong",
    };
    if complaints.about(subject, now_ms) {
        warn!("ignored a beacon from {from}: {error}");
    }
}

/// Says again and again that a cluster is there, until it is dropped: its node is starting, and
/// may take longer than others are patient.
#[derive(Debug)]
pub struct Announcement {
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Announcement {
    /// Begins; the first beacon is out when this returns.
    ///
    /// Errors: those of the system; nothing is announced then.
    pub fn begin(socket: &BeaconSocket, codec: &BeaconCodec, beacon: &Beacon) -> io::Result<Self> {
        let (socket, datagram) = (socket.try_clone()?, codec.encode(beacon));
        socket.send(&datagram)?;
        let (end, ended) = mpsc::channel::<()>();
        let thread =
            std::thread::Builder::new().name("announcement".to_owned()).spawn(move || {
                while ended.recv_timeout(SAY_AGAIN) == Err(mpsc::RecvTimeoutError::Timeout) {
                    // The next one may get through.
                    let _ = socket.send(&datagram);
                }
            })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.end = None;
        let thread = self.thread.take();
        // It does nothing that could panic.
        let _ = thread.map(JoinHandle::join);
    }
}
