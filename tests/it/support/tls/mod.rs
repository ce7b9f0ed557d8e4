//! A server with TLS: `ca.pem` signed `server.pem` (for localhost and 127.0.0.1; the CA's own key is thrown away). HTTP/2
//! where the client offers it, as any CDN does.

use http_body_util::Full;
use hyper::{Request, Response, Version, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

pub(crate) const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/ca.pem");

/// How it behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manner {
    Proper,
    /// The connection is closed in the middle of the handshake, so many times.
    CutHandshake(usize),
    /// To that place, always.
    Redirect(String),
}

/// Version, path and `Authorization` of a request.
pub(crate) type Asked = (Version, String, Option<String>);

pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<Mutex<usize>>,
}

impl Server {
    /// Serves that folder as long as the test's runtime lives.
    pub(crate) async fn serve(folder: &Path, manner: Manner) -> Self {
        let read = |name: &str| std::fs::read(Path::new(CA).with_file_name(name)).unwrap();
        let chain = CertificateDer::pem_slice_iter(&read("server.pem")).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(&read("server.key")).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let mut config = config.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let server = Self { url, asked: Arc::default(), connections: Arc::default() };
        let (asked, connections) = (Arc::clone(&server.asked), Arc::clone(&server.connections));
        let folder: PathBuf = folder.into();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = {
                    let mut connections = connections.lock().unwrap();
                    *connections += 1;
                    *connections
                };
                if matches!(manner, Manner::CutHandshake(times) if count <= times) {
                    let mut hello = [0; 100];
                    let mut stream = stream;
                    let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut hello).await;
                    continue;
                }
                let (acceptor, folder, manner, asked) =
                    (acceptor.clone(), folder.clone(), manner.clone(), Arc::clone(&asked));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(|request| {
                        let answer = answer(&folder, &manner, &asked, &request);
                        async { Ok::<_, Infallible>(answer) }
                    });
                    let http = auto::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        server
    }

    pub(crate) fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }
}

fn answer(
    folder: &Path,
    manner: &Manner,
    asked: &Mutex<Vec<Asked>>,
    request: &Request<Incoming>,
) -> Response<Full<bytes::Bytes>> {
    let secret = request.headers().get("authorization").map(|v| v.to_str().unwrap().to_owned());
    asked.lock().unwrap().push((request.version(), request.uri().path().to_owned(), secret));
    if let Manner::Redirect(to) = manner {
        let to = format!("{to}{}", request.uri().path());
        return Response::builder().status(302).header("location", to).body(Full::default()).unwrap();
    }
    match std::fs::read(folder.join(request.uri().path().trim_start_matches('/'))) {
        Ok(bytes) => Response::new(Full::from(bytes)),
        Err(_) => Response::builder().status(404).body(Full::default()).unwrap(),
    }
}
