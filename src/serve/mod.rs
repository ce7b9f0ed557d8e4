//! A server of static files for the one kind of folder that this project knows: a registry. For local work and tests, and for
//! machines where no web server is at hand.
//!
//! It serves what belongs to a registry and nothing else of the folder, follows no links, writes nothing, and says of each
//! object how long it may be kept. Immutable objects have their digest as `ETag`; text of views is compressed for those who
//! ask for it, under a tag of its own.

mod conditions;
mod file;
mod path;
mod socket;

use crate::{
    Error, ErrorKind, Result,
    package::{Sha256, Sha256Hasher},
};
use bytes::Bytes;
use conditions::Part;
use file::Folder;
use futures::StreamExt;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Frame},
    header::{self, HeaderMap, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use path::{Kind, Object};
use socket::Socket;
use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, sync::Semaphore};

/// How much of a file is in memory at once for one answer.
const PIECE: usize = 64 * 1024;

/// Larger texts are sent as they are: compressing them for each who asks is not what this server is for.
const MAX_COMPRESSED: u64 = 8 << 20;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How to serve.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServeOptions {
    /// Where to listen. Port 0 is any that is free.
    pub address: SocketAddr,
    /// How many connections may be open at once; further ones wait.
    pub connections: usize,
    /// How long a connection may be silent: in a request, between two, or not taking what it asked for.
    pub idle: Duration,
    /// How long answers that are under way may take once the server is told to stop.
    pub grace: Duration,
}

impl Default for ServeOptions {
    /// Any free port of this machine's own loopback address, 256 connections, 30 s of silence, 5 s of grace.
    fn default() -> Self {
        Self {
            address: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            connections: 256,
            idle: Duration::from_secs(30),
            grace: Duration::from_secs(5),
        }
    }
}

/// A server of one registry that lies in a folder.
///
/// ```
/// use ggen_marketplace::{FileServer, ServeOptions};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let server = FileServer::bind(folder.path(), ServeOptions::default()).await?;
/// println!("http://{}/", server.address());
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let running = tokio::spawn(server.run(async { stopped.await.unwrap_or(()) }));
/// stop.send(()).unwrap_or(());
/// running.await?;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct FileServer {
    folder: Arc<Folder>,
    listener: TcpListener,
    address: SocketAddr,
    options: ServeOptions,
}

impl FileServer {
    /// Opens the folder and the port, so that whoever connects from now on is answered once the server runs.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] when there is no such folder, or the address is taken or not this machine's.
    pub async fn bind(folder: &Path, options: ServeOptions) -> Result<Self> {
        let opened = Folder::open(folder).map_err(|e| Error::io("serve", folder, e))?;
        let failed = |e: io::Error| {
            Error::new(ErrorKind::Io, format!("cannot listen on {}", options.address))
                .with_source(e)
                .with_hint("another program may listen there: take another port; 0 is any that is free")
        };
        let listener = TcpListener::bind(options.address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { folder: Arc::new(opened), listener, address, options })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is over. Answers that are under way are finished then, within the grace.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let room = Arc::new(Semaphore::new(self.options.connections.clamp(1, Semaphore::MAX_PERMITS)));
        let graceful = GracefulShutdown::new();
        let mut connections = tokio::task::JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = async {
                let place = Arc::clone(&room).acquire_owned().await;
                (self.listener.accept().await, place)
            };
            let (accepted, place) = tokio::select! {
                () = &mut stop => break,
                accepted = accepted => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(e) => {
                    // No file descriptors left, or a connection that was gone before it was taken: others may go better.
                    tracing::warn!("cannot accept a connection: {e}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let (socket, waiting) = Socket::new(stream);
            let folder = Arc::clone(&self.folder);
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let folder = Arc::clone(&folder);
                async move { Ok::<_, std::convert::Infallible>(answer(&folder, request).await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(self.options.idle).max_buf_size(PIECE);
            let connection = graceful.watch(http.serve_connection(TokioIo::new(socket), service));
            let idle = self.options.idle;
            connections.spawn(async move {
                tokio::select! {
                    ended = connection => {
                        if let Err(e) = ended {
                            tracing::debug!("a connection broke off: {e}");
                        }
                    }
                    () = waiting.too_long(idle) => tracing::debug!("a client took nothing for {} s", idle.as_secs()),
                }
                drop(place);
            });
        }
        drop(self.listener);
        let _ = tokio::time::timeout(self.options.grace, graceful.shutdown()).await;
    }
}

async fn answer(folder: &Arc<Folder>, request: Request<hyper::body::Incoming>) -> Response<Body> {
    let head = request.method() == Method::HEAD;
    let mut answer = if head || request.method() == Method::GET {
        match path::object(request.uri().path()) {
            None => trouble(StatusCode::NOT_FOUND),
            Some(object) => {
                let (folder, headers) = (Arc::clone(folder), request.headers().clone());
                let made = tokio::task::spawn_blocking(move || serve(&folder, &object, &headers));
                match made.await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(e)) => trouble(status_of(&e)),
                    Err(e) => {
                        tracing::error!("an answer broke off: {e}");
                        trouble(StatusCode::INTERNAL_SERVER_ERROR)
                    }
                }
            }
        }
    } else {
        let mut answer = trouble(StatusCode::METHOD_NOT_ALLOWED);
        answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        answer
    };
    tracing::info!("{} {} {}", request.method(), request.uri().path(), answer.status().as_u16());
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if head {
        // What the length would be is a part of the answer all the same.
        if let Some(size) = answer.body().size_hint().exact() {
            answer.headers_mut().entry(header::CONTENT_LENGTH).or_insert(size.into());
        }
        *answer.body_mut() = empty();
    }
    answer
}

/// What is not there is not told apart from what may not be seen.
fn status_of(e: &io::Error) -> StatusCode {
    use io::ErrorKind as E;
    match e.kind() {
        E::NotFound | E::PermissionDenied | E::NotADirectory | E::IsADirectory => StatusCode::NOT_FOUND,
        _ => {
            tracing::warn!("cannot read a file: {e}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

fn trouble(status: StatusCode) -> Response<Body> {
    let text = format!("{status}\n");
    let mut answer = Response::new(Full::from(text).map_err(|e| match e {}).boxed_unsync());
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // That something is not there may change at any moment.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

fn empty() -> Body {
    Empty::new().map_err(|e| match e {}).boxed_unsync()
}

/// What is sent, in which encoding and under which tag.
struct Chosen {
    etag: String,
    /// The bytes, where they are not those of the file.
    compressed: Option<Vec<u8>>,
}

/// Makes the answer for an object. Reads the file, so it is run where blocking is allowed.
fn serve(folder: &Folder, object: &Object, asked: &HeaderMap) -> io::Result<Response<Body>> {
    let (mut file, size) = folder.file(&object.key)?;
    let negotiable = object.kind.compresses();
    let chosen = choose(&mut file, size, object.kind, negotiable && wants_gzip(asked, size))?;
    let mut answer = Response::new(empty());
    let headers = answer.headers_mut();
    let value = |text: &str| HeaderValue::from_str(text).map_err(io::Error::other);
    headers.insert(header::ETAG, value(&chosen.etag)?);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(object.kind.cache_control()));
    if negotiable {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if !conditions::may_go_on(asked, &chosen.etag) {
        return Ok(trouble(StatusCode::PRECONDITION_FAILED));
    }
    if conditions::is_known(asked, &chosen.etag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(answer);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(object.kind.content_type()));
    if let Some(bytes) = chosen.compressed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        *answer.body_mut() = Full::from(bytes).map_err(|e| match e {}).boxed_unsync();
        return Ok(answer);
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let range = match conditions::part(asked, &chosen.etag, size) {
        Part::Whole => 0..size,
        Part::Bytes(range) => {
            headers.insert(
                header::CONTENT_RANGE,
                value(&format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1)))?,
            );
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
            range
        }
        Part::Unsatisfiable => {
            let mut answer = trouble(StatusCode::RANGE_NOT_SATISFIABLE);
            answer.headers_mut().insert(header::CONTENT_RANGE, value(&format!("bytes */{size}"))?);
            return Ok(answer);
        }
    };
    let length = range.end - range.start;
    answer.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    file.seek(SeekFrom::Start(range.start))?;
    *answer.body_mut() = pieces(file, length);
    Ok(answer)
}

/// A part is always one of the bytes as they are stored.
fn wants_gzip(asked: &HeaderMap, size: u64) -> bool {
    !conditions::wants_part(asked) && size <= MAX_COMPRESSED && conditions::takes_gzip(asked)
}

/// The tag follows from the content alone, so that two servers of the same registry agree on it.
fn choose(file: &mut File, size: u64, kind: Kind, gzip: bool) -> io::Result<Chosen> {
    if let Kind::Stored(_, Some(digest)) = kind {
        return Ok(Chosen { etag: format!("\"{digest}\""), compressed: None });
    }
    if gzip {
        let mut text = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        file.take(MAX_COMPRESSED).read_to_end(&mut text)?;
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        gz.write_all(&text)?;
        let etag = format!("\"{}-gzip\"", Sha256::of(&text));
        return Ok(Chosen { etag, compressed: Some(gz.finish()?) });
    }
    let mut hasher = Sha256Hasher::default();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            n => hasher.update(&piece[..n]),
        }
    }
    Ok(Chosen { etag: format!("\"{}\"", hasher.finish()), compressed: None })
}

/// So many bytes of a file from where it stands. One that has become shorter ends the connection: what was promised cannot
/// be kept.
fn pieces(file: File, length: u64) -> Body {
    let state = (tokio::fs::File::from_std(file), length);
    let stream = futures::stream::try_unfold(state, |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut piece = bytes::BytesMut::with_capacity(PIECE.min(usize::try_from(left).unwrap_or(PIECE)));
        let mut limited = tokio::io::AsyncReadExt::take(&mut file, left.min(PIECE as u64));
        let read = tokio::io::AsyncReadExt::read_buf(&mut limited, &mut piece).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some((piece.freeze(), (file, left - read as u64))))
    });
    StreamBody::new(stream.map(|piece| piece.map(Frame::data))).boxed_unsync()
}
