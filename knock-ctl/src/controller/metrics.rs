//! Metrics over HTTP: a small server for the machine's own monitoring.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use super::Notice;
use crate::datapath::{Maps, Pins};
use crate::metrics::{self, Counts, Sample};
use crate::runtime::RuntimeDirectory;

/// Connections at a time; more wait in the listener's queue.
const CONNECTIONS: usize = 8;
/// How long a connection may take in all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest head of a request, in bytes.
const HEAD_MAX: usize = 8 << 10;

/// What the controller counts, and who serves it.
pub(super) struct Metrics {
    pub(super) counts: Counts,
    source: Arc<Source>,
    serving: Option<Serving>,
}

/// Where the metrics are to be served.
pub(super) enum Listen {
    /// Where they are.
    Unchanged,
    Nowhere,
    At(SocketAddr, TcpListener),
}

impl Listen {
    /// # Errors
    /// Something else listens there, or this machine has no such address.
    pub(super) fn at(address: Option<SocketAddr>) -> Result<Self> {
        let Some(address) = address else {
            return Ok(Self::Nowhere);
        };
        let listener = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok(listener)
        });
        match listener {
            Ok(listener) => Ok(Self::At(address, listener)),
            Err(error) => bail!("metrics can't be served at {address}: {}", reason(&error)),
        }
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => {
            "something listens there already; end it, or write another address at metrics.listen".to_owned()
        }
        ErrorKind::AddrNotAvailable => {
            "this machine has no such address; write one that it has at metrics.listen".to_owned()
        }
        _ => error.to_string(),
    }
}

struct Serving {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Metrics {
    pub(super) fn new(pins: &Pins, directory: &RuntimeDirectory) -> Result<Self> {
        let counts = Counts::new()?;
        let source = Source {
            pins: pins.clone(),
            maps: Mutex::new(Maps::open(pins)?),
            directory: directory.clone(),
            counts: counts.clone(),
        };
        Ok(Self { counts, source: Arc::new(source), serving: None })
    }

    /// Gets ready to serve at another address, before anything is changed.
    pub(super) fn prepare(&self, address: Option<SocketAddr>) -> Result<Listen> {
        let now = self.serving.as_ref().map(|serving| serving.address);
        if address == now {
            return Ok(Listen::Unchanged);
        }
        let same_port =
            address.is_some() && address.map(|address| address.port()) == now.map(|now| now.port());
        Listen::at(address).with_context(|| match now {
            Some(now) if same_port => format!(
                "metrics.listen: this controller itself listens at {now}; take [metrics] away and reload, then write \
                 the new address"
            ),
            _ => "metrics.listen".to_owned(),
        })
    }

    pub(super) fn serve(&mut self, listen: Listen) -> Result<()> {
        let (address, listener) = match listen {
            Listen::Unchanged => return Ok(()),
            Listen::Nowhere => {
                self.stop();
                return Ok(());
            }
            Listen::At(address, listener) => (address, tokio::net::TcpListener::from_std(listener)?),
        };
        self.stop();
        let task = tokio::spawn(accept(listener, Arc::clone(&self.source)));
        log::info!("metrics are at http://{address}/metrics");
        self.serving = Some(Serving { address, task });
        Ok(())
    }

    /// Counts what happens.
    pub(super) fn note(&self, notice: &Notice) {
        match notice.event {
            "grant_refused" => self.counts.grants_refused.inc(),
            "lost" => self.counts.events_lost.inc_by(notice.count.unwrap_or(1)),
            "reload" => self.counts.reloaded(true),
            "config_rejected" => self.counts.reloaded(false),
            _ => {}
        }
    }

    fn stop(&mut self) {
        if let Some(Serving { address, task }) = self.serving.take() {
            task.abort();
            log::info!("metrics are no more at http://{address}/metrics");
        }
    }
}

/// Where the metrics are from.
struct Source {
    pins: Pins,
    /// Whoever asks waits for whoever asked before.
    maps: Mutex<Maps>,
    directory: RuntimeDirectory,
    counts: Counts,
}

impl Source {
    fn text(&self) -> Result<String> {
        let maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = Sample::take(&self.pins, &maps, &self.directory)?;
        Ok(metrics::to_text(&sample, Some(&self.counts))?)
    }
}

async fn accept(listener: tokio::net::TcpListener, source: Arc<Source>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let source = Arc::clone(&source);
                tokio::spawn(async move {
                    let answer = service_fn(|request| answer(request, Arc::clone(&source)));
                    let connection = http1::Builder::new()
                        .keep_alive(false)
                        .header_read_timeout(None)
                        .max_buf_size(HEAD_MAX)
                        .serve_connection(TokioIo::new(stream), answer);
                    // Whatever goes wrong with a client is its own affair.
                    let _ = tokio::time::timeout(PATIENCE, connection).await;
                    drop(place);
                });
            }
            Err(error) => {
                log::warn!("the listener for metrics: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(
    request: Request<Incoming>,
    source: Arc<Source>,
) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    const PLAIN: &str = "text/plain; charset=utf-8";

    let respond = |status, kind, text: String| {
        let kind = HeaderValue::from_static(kind);
        Response::builder().status(status).header(CONTENT_TYPE, kind).body(Full::new(Bytes::from(text)))
    };
    if request.uri().path() != "/metrics" {
        return respond(StatusCode::NOT_FOUND, PLAIN, "the metrics are at /metrics\n".to_owned());
    }
    if request.method() != Method::GET {
        let mut refusal = respond(StatusCode::METHOD_NOT_ALLOWED, PLAIN, "only GET\n".to_owned())?;
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return Ok(refusal);
    }
    // A large table takes a while to read, and doors must not wait for it.
    match tokio::task::spawn_blocking(move || source.text()).await {
        Ok(Ok(text)) => respond(StatusCode::OK, metrics::CONTENT_TYPE, text),
        Ok(Err(error)) => respond(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error:#}\n")),
        Err(error) => respond(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, format!("{error}\n")),
    }
}
