//! How other processes speak with the controller: a line of JSON each way, over a Unix socket for root alone.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::Notice;
use crate::runtime::RuntimeDirectory;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it may take to read, compile and write a whole configuration.
const PATIENCE_FOR_RELOAD: Duration = Duration::from_secs(120);
/// Longest line that is read from a client, in bytes.
const LINE_MAX: usize = 64 << 10;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Take the filter off; no interfaces: everywhere, and end.
    Detach { interfaces: Vec<String> },
    /// Grants were changed: look at them now.
    Reconcile,
    /// Take the configuration anew.
    Reload(ReloadOptions),
    /// Keep the change of rules that waits.
    Confirm,
    /// Send every event from now on, a line each.
    Events,
}

impl Request {
    const fn patience(&self) -> Duration {
        match self {
            Self::Reload(_) => PATIENCE_FOR_RELOAD,
            _ => PATIENCE,
        }
    }
}

/// How a configuration is to be taken anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadOptions {
    /// Only tell what would change.
    pub dry_run: bool,
    /// For how long the change holds unless it is confirmed; `None`: for good.
    pub confirm: Option<Duration>,
    /// Also if somebody who is here now could not come again.
    pub yes: bool,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub lines: Vec<String>,
    pub warnings: Vec<String>,
}

impl Report {
    pub(super) fn of(lines: Vec<String>) -> Self {
        Self { lines, warnings: Vec::new() }
    }
}

/// What a request came to: what was done, or why it could not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    Done(Report),
    Failed(String),
    /// What is wrong in the configuration, an error each.
    Rejected(Vec<String>),
}

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("no controller runs in this network namespace")]
    NoController,
    #[error("the controller's socket {path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("the controller answered {0:?}")]
    Garbled(String),
    #[error("{0}")]
    Refused(String),
    /// Holds each error in the configuration.
    #[error("the configuration is rejected: {}", .0.join("; "))]
    Rejected(Vec<String>),
}

/// A request that waits for the controller's reply.
pub(super) struct Pending {
    pub(super) request: Request,
    pub(super) reply: oneshot::Sender<Reply>,
    /// Ends once the reply has been written, or the client is gone.
    pub(super) written: oneshot::Receiver<()>,
}

/// Asks the controller of this network namespace, and waits for its answer.
pub fn ask(directory: &RuntimeDirectory, request: &Request) -> Result<Report, SocketError> {
    let mut lines = send(directory, request)?;
    lines.get_ref().set_read_timeout(Some(request.patience())).map_err(io(directory))?;
    let mut line = String::new();
    match lines.read_line(&mut line) {
        // It ended before it could answer.
        Ok(0) => return Err(SocketError::NoController),
        Ok(_) => {}
        Err(error) => return Err(io(directory)(error)),
    }
    match serde_json::from_str(&line) {
        Ok(Reply::Done(what)) => Ok(what),
        Ok(Reply::Failed(reason)) => Err(SocketError::Refused(reason)),
        Ok(Reply::Rejected(errors)) => Err(SocketError::Rejected(errors)),
        Err(_) => Err(SocketError::Garbled(line)),
    }
}

/// Hands each event, a line of JSON, to `each`, until the controller ends or `each` returns `false`.
pub fn follow_events(
    directory: &RuntimeDirectory,
    mut each: impl FnMut(&str) -> bool,
) -> Result<(), SocketError> {
    for line in send(directory, &Request::Events)?.lines() {
        if !each(&line.map_err(io(directory))?) {
            break;
        }
    }
    Ok(())
}

fn send(directory: &RuntimeDirectory, request: &Request) -> Result<BufReader<BlockingStream>, SocketError> {
    let mut stream = BlockingStream::connect(directory.socket()).map_err(io(directory))?;
    let mut line = serde_json::to_string(request).map_err(|error| SocketError::Garbled(error.to_string()))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(io(directory))?;
    Ok(BufReader::new(stream))
}

fn io(directory: &RuntimeDirectory) -> impl Fn(std::io::Error) -> SocketError {
    use std::io::ErrorKind;

    let path = directory.socket();
    move |source| match source.kind() {
        // The socket of one that has ended, or ends just now.
        ErrorKind::NotFound
        | ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::BrokenPipe => SocketError::NoController,
        _ => SocketError::Io { path: path.clone(), source },
    }
}

/// Serves the socket. The directory is root's alone, and so is whoever reaches the socket.
pub(super) fn serve(
    directory: &RuntimeDirectory,
    notices: broadcast::Sender<Notice>,
) -> Result<mpsc::Receiver<Pending>, SocketError> {
    let path = directory.socket();
    // The lock says that whoever made it is gone.
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).map_err(io(directory))?;
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(talk(stream, sender.clone(), notices.clone()))),
                Err(error) => {
                    log::warn!("the control socket: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
    Ok(receiver)
}

/// One client. Whatever goes wrong with it is its own affair.
async fn talk(stream: UnixStream, requests: mpsc::Sender<Pending>, notices: broadcast::Sender<Notice>) {
    use tokio::io::AsyncReadExt;

    // Dropped, and so heard of, when all is written.
    let _done;
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let read = tokio::io::BufReader::new(reader.take(LINE_MAX as u64)).read_line(&mut line).await;
    let reply = match (read, serde_json::from_str(&line)) {
        (Ok(_), Ok(Request::Events)) => return stream_events(&mut writer, notices.subscribe()).await,
        (Ok(_), Ok(request)) => {
            let (reply, answer) = oneshot::channel();
            let (done, written) = oneshot::channel();
            if requests.send(Pending { request, reply, written }).await.is_err() {
                return;
            }
            _done = done;
            answer.await.unwrap_or_else(|_| Reply::Failed("the controller is ending".to_owned()))
        }
        (Err(_), _) => return,
        (_, Err(error)) => Reply::Failed(format!("this request makes no sense: {error}")),
    };
    if let Ok(mut text) = serde_json::to_string(&reply) {
        text.push('\n');
        let _ = writer.write_all(text.as_bytes()).await;
    }
}

async fn stream_events(
    writer: &mut tokio::net::unix::OwnedWriteHalf,
    mut notices: broadcast::Receiver<Notice>,
) {
    loop {
        let notice = match notices.recv().await {
            Ok(notice) => notice,
            Err(broadcast::error::RecvError::Lagged(count)) => {
                Notice::new("lost").count(count).reason("this reader was too slow")
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let Ok(mut text) = serde_json::to_string(&notice) else {
            return;
        };
        text.push('\n');
        if writer.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
