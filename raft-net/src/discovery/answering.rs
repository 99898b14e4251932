//! Answers who this node is before it is one: while it seeks, its port takes questions.
//!
//! Limits: [`QUESTIONS_MAX`] connections at a time, beyond which new ones are closed, each with
//! [`PATIENCE`] and [`HEAD_BYTES_MAX`].

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::asking::{DISCOVERY_PATH, Told, beacon_in_request, page};

/// How many questions are answered at a time.
const QUESTIONS_MAX: usize = 256;

/// The longest question that is read. Units: bytes.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// How long a question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The rest when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers until it is dropped. `said` is this node's beacon and what
/// it passes on; those in questions go to `heard`.
pub(super) async fn answer(
    listener: TcpListener,
    said: watch::Receiver<Vec<Vec<u8>>>,
    heard: mpsc::Sender<Told>,
) {
    let mut questions = JoinSet::new();
    loop {
        while questions.try_join_next().is_some() {}
        let Ok((stream, from)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if QUESTIONS_MAX <= questions.len() {
            continue;
        }
        let (said, heard) = (said.clone(), heard.clone());
        questions.spawn(async move {
            if let Ok(Ok(Some(beacon))) = timeout(PATIENCE, take_question(stream, &said)).await {
                // What finds the place full is asked again.
                let _ = heard.try_send(Told { datagram: (beacon, from), is_own: true });
            }
        });
    }
}

/// Answers one question and returns the beacon in it.
async fn take_question(
    mut stream: TcpStream,
    said: &watch::Receiver<Vec<Vec<u8>>>,
) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut line = head.lines().next().unwrap_or_default().split(' ');
    if (line.next(), line.next()) != (Some("GET"), Some(DISCOVERY_PATH)) {
        let text = "this node is looking for its cluster\n";
        write(&mut stream, "503 Service Unavailable", text).await?;
        return Ok(None);
    }
    let page = page(&said.borrow());
    write(&mut stream, "200 OK", &page).await?;
    Ok(beacon_in_request(&head))
}

async fn write(stream: &mut TcpStream, status: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
