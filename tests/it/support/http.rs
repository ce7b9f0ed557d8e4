//! A web server for static files, as small as one can be: GET and HEAD, `If-None-Match`, 404. It counts what it is asked.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// A server that runs as long as the test's runtime.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves that folder.
    pub(crate) async fn serve(folder: &Path) -> Self {
        Self::start(Some(folder.to_owned())).await
    }

    /// Takes questions, and never answers one.
    pub(crate) async fn silent() -> Self {
        Self::start(None).await
    }

    async fn start(folder: Option<PathBuf>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (folder, asked) = (folder.clone(), Arc::clone(&shared));
                tokio::spawn(async move { connection(stream, folder.as_deref(), &asked).await });
            }
        });
        Self { url, asked }
    }

    /// What was asked since the last call: method and path.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn connection(stream: TcpStream, folder: Option<&Path>, asked: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    while let Some((method, path, known)) = question(&mut stream).await {
        asked.lock().unwrap().push(format!("{method} {path}"));
        let Some(folder) = folder else { return std::future::pending().await };
        let bytes = std::fs::read(folder.join(path.trim_start_matches('/'))).ok();
        let tag = bytes.as_ref().map(|b| format!("\"{}\"", ggen_marketplace::package::Sha256::of(b).short()));
        let (status, body) = match &bytes {
            None => ("404 Not Found", &[][..]),
            Some(_) if known.is_some() && known == tag => ("304 Not Modified", &[][..]),
            Some(bytes) => ("200 OK", &bytes[..]),
        };
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        head += "Last-Modified: Mon, 23 Nov 2026 00:00:00 GMT\r\n";
        if let Some(tag) = tag {
            head += &format!("ETag: {tag}\r\n");
        }
        let body = if method == "HEAD" { &[] } else { body };
        if stream.write_all(&[head.as_bytes(), b"\r\n", body].concat()).await.is_err() {
            return;
        }
    }
}

/// Method, path and `If-None-Match` of the next request.
async fn question(stream: &mut BufReader<TcpStream>) -> Option<(String, String, Option<String>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let known = lines.iter().find_map(|l| {
        let (name, value) = l.split_once(':')?;
        name.eq_ignore_ascii_case("if-none-match").then(|| value.trim().to_owned())
    });
    Some((method, path, known))
}
