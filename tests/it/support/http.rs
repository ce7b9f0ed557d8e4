//! A web server for static files, as small as one can be: GET and HEAD, `If-None-Match`, 404. It counts what it is asked.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// How a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Proper,
    /// In chunks, without a length.
    Chunked,
    /// In chunks, without an end.
    Endless,
    /// Half of the body that it promised, and the connection is closed.
    CutShort,
    /// The connection is closed before an answer.
    HangUp,
    /// A page that says that one should log in, with status 200.
    LoginPage,
    /// This status, always.
    Status(u16),
    /// Status 503 the first time, and as it should from then on.
    BusyOnce,
    /// To the same place, for ever.
    RedirectLoop,
    /// Nothing.
    Silent,
    /// Status 401 to whoever does not send this as `Authorization`.
    Locked(&'static str),
}

/// A server that runs as long as the test's runtime.
pub(crate) struct Server {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Serves that folder.
    pub(crate) async fn serve(folder: &Path) -> Self {
        Self::with(folder, Manner::Proper).await
    }

    /// Takes questions, and never answers one.
    pub(crate) async fn silent() -> Self {
        Self::with(Path::new(""), Manner::Silent).await
    }

    /// Serves that folder in that manner.
    pub(crate) async fn with(folder: &Path, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (shared, folder) = (Arc::clone(&asked), folder.to_owned());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (folder, asked) = (folder.clone(), Arc::clone(&shared));
                tokio::spawn(async move { connection(stream, &folder, manner, &asked).await });
            }
        });
        Self { url, asked }
    }

    /// What was asked since the last call: method and path.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

async fn connection(stream: TcpStream, folder: &Path, manner: Manner, asked: &Mutex<Vec<String>>) {
    let mut stream = BufReader::new(stream);
    while let Some(Question { method, path, known, token }) = question(&mut stream).await {
        let before = {
            let mut asked = asked.lock().unwrap();
            asked.push(format!("{method} {path}"));
            asked.len() - 1
        };
        let name = path.split('?').next().unwrap();
        let bytes = std::fs::read(folder.join(name.trim_start_matches('/'))).ok();
        let tag = bytes.as_ref().map(|b| format!("\"{}\"", ggen_marketplace::package::Sha256::of(b).short()));
        let (status, body) = match (manner, &bytes) {
            (Manner::Silent, _) => return std::future::pending().await,
            (Manner::HangUp, _) => return,
            (Manner::Status(code), _) => (format!("{code} As Told"), &b"<html>an error page</html>"[..]),
            (Manner::BusyOnce, _) if before == 0 => ("503 Slow Down".into(), &[][..]),
            (Manner::RedirectLoop, _) => ("302 Found".into(), &[][..]),
            (Manner::LoginPage, _) => ("200 OK".into(), &b"<html>please log in</html>"[..]),
            (Manner::Locked(want), _) if token.as_deref() != Some(want) => ("401 Unauthorized".into(), &[][..]),
            (_, None) => ("404 Not Found".into(), &[][..]),
            (_, Some(_)) if known.is_some() && known == tag => ("304 Not Modified".into(), &[][..]),
            (_, Some(bytes)) => ("200 OK".into(), &bytes[..]),
        };
        let chunked = matches!(manner, Manner::Chunked | Manner::Endless) && status.starts_with("200");
        let mut head = format!("HTTP/1.1 {status}\r\nLast-Modified: Mon, 23 Nov 2026 00:00:00 GMT\r\n");
        head += &tag.map(|tag| format!("ETag: {tag}\r\n")).unwrap_or_default();
        head += &if chunked {
            "Transfer-Encoding: chunked\r\n".into()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        if manner == Manner::RedirectLoop {
            head += &format!("Location: {path}\r\n");
        }
        let body = match manner {
            _ if method == "HEAD" => Vec::new(),
            Manner::CutShort => body[..body.len() / 2].to_vec(),
            _ if chunked => chunks(body, manner == Manner::Chunked),
            _ => body.to_vec(),
        };
        if stream.write_all(&[head.as_bytes(), b"\r\n", &body].concat()).await.is_err() || manner == Manner::CutShort {
            return;
        }
        if manner == Manner::Endless {
            // Until the reader has had enough.
            while stream.write_all(&chunks(&[b'x'; 4096], false)).await.is_ok() {}
            return;
        }
    }
}

fn chunks(body: &[u8], end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(100) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    if end {
        out.extend_from_slice(b"0\r\n\r\n");
    }
    out
}

struct Question {
    method: String,
    path: String,
    /// `If-None-Match`.
    known: Option<String>,
    /// `Authorization`.
    token: Option<String>,
}

/// The next request.
async fn question(stream: &mut BufReader<TcpStream>) -> Option<Question> {
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
    let header = |wanted: &str| {
        lines.iter().find_map(|l| {
            let (name, value) = l.split_once(':')?;
            name.eq_ignore_ascii_case(wanted).then(|| value.trim().to_owned())
        })
    };
    Some(Question { method, path, known: header("if-none-match"), token: header("authorization") })
}
