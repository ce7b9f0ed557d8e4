//! What stands between a store and its readers: a server of static files with the right headers, and with one fault.

use super::second_reader;
use std::{
    collections::HashSet,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Compresses what is compressed, for those who take it.
    GzipsBlobs,
    DropsRange,
    /// 206, with the bytes from the beginning.
    WrongRange,
    /// An hour for the checkpoint.
    KeepsCheckpoint,
    /// No Cache-Control at all.
    SaysNothing,
    /// `no-cache`, and yet an answer from a cache.
    Aged,
    OldCheckpoint,
    /// A page where there is nothing.
    LoginPage,
    /// A page, whatever is asked.
    LoginForAll,
    /// 403 where there is nothing.
    Forbids,
    /// A day for 404.
    LongAbsence,
    /// What was absent once is absent for ever, and no header says so.
    KeepsAbsence,
    NoEtag,
    /// A time in whole seconds, and no ETag.
    OnlyTime,
    /// An ETag of the size alone.
    EtagOfSize,
    /// Neither `gc/boundary` nor `mirror.json`.
    HidesNotes,
    /// A `mirror.json` of another day.
    OldNote,
    TextBlobs,
    /// One wrong byte in each blob.
    BitFlip,
    /// A + in a path is a space.
    PlusIsSpace,
}

struct Shared {
    folder: PathBuf,
    fault: Fault,
    old_checkpoint: Vec<u8>,
    absent: Mutex<HashSet<String>>,
}

/// A server that runs as long as the test's runtime.
pub(crate) struct Cdn {
    pub(crate) url: String,
}

impl Cdn {
    pub(crate) async fn serve(folder: &Path, fault: Fault, old_checkpoint: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { folder: folder.into(), fault, old_checkpoint, absent: Mutex::default() });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    while let Some(request) = request(&mut stream).await {
                        if stream.write_all(&shared.answer(&request)).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { url }
    }
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl Shared {
    fn answer(&self, request: &Request) -> Vec<u8> {
        let plus = if self.fault == Fault::PlusIsSpace { " " } else { "+" };
        let path = request.path.split('?').next().unwrap();
        let key = path.trim_start_matches('/').replace('+', plus).replace("%2B", plus);
        let mut bytes = std::fs::read(self.folder.join(&key)).ok();
        if self.fault == Fault::KeepsAbsence {
            let mut absent = self.absent.lock().unwrap();
            if bytes.is_none() || absent.contains(&key) {
                absent.insert(key.clone());
                bytes = None;
            }
        }
        match self.fault {
            Fault::HidesNotes if key == "gc/boundary" || key == "mirror.json" => bytes = None,
            Fault::OldNote if key == "mirror.json" => bytes = Some(b"another\n".to_vec()),
            _ => {}
        }
        if self.fault == Fault::OldCheckpoint && key == "checkpoint" {
            bytes = Some(self.old_checkpoint.clone());
        }
        let page = || (b"<html>please log in</html>".to_vec(), vec!["Content-Type: text/html".to_owned()]);
        let (status, (body, headers)) = match (self.fault, bytes) {
            (Fault::LoginForAll, _) | (Fault::LoginPage, None) => ("200 OK", page()),
            (Fault::Forbids, None) => ("403 Forbidden", page()),
            (Fault::LongAbsence, None) => {
                ("404 Not Found", (Vec::new(), vec!["Cache-Control: public, max-age=86400".into()]))
            }
            (_, None) => ("404 Not Found", page()),
            (_, Some(bytes)) => self.object(request, &key, bytes),
        };
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            head += &format!("{header}\r\n");
        }
        let body = if request.method == "HEAD" { &[] } else { &body[..] };
        [head.as_bytes(), b"\r\n", body].concat()
    }

    fn object(&self, request: &Request, key: &str, mut bytes: Vec<u8>) -> (&'static str, (Vec<u8>, Vec<String>)) {
        let blob = key.starts_with("blobs/");
        let mut headers = Vec::new();
        let cache = match self.fault {
            Fault::SaysNothing => None,
            Fault::KeepsCheckpoint if key == "checkpoint" => Some("max-age=3600"),
            _ if blob || key.starts_with("log/") => Some("public, max-age=31536000, immutable"),
            _ => Some("no-cache"),
        };
        headers.extend(cache.map(|c| format!("Cache-Control: {c}")));
        if self.fault == Fault::Aged {
            headers.push("Age: 1800".into());
        }
        let kind = if blob && self.fault != Fault::TextBlobs { "application/octet-stream" } else { "text/plain" };
        headers.push(format!("Content-Type: {kind}"));
        let etag = match self.fault {
            Fault::EtagOfSize => format!("\"{:x}\"", bytes.len()),
            _ => format!("\"{}\"", second_reader::hex(&bytes)),
        };
        if self.fault == Fault::OnlyTime {
            headers.push("Last-Modified: Mon, 05 Jan 2026 00:00:00 GMT".into());
        }
        if !matches!(self.fault, Fault::NoEtag | Fault::OnlyTime) {
            headers.push(format!("ETag: {etag}"));
            if request.header("if-none-match") == Some(&etag) {
                return ("304 Not Modified", (Vec::new(), headers));
            }
        }
        if blob && self.fault == Fault::BitFlip {
            bytes[20] ^= 1;
        }
        let takes_gzip = request.header("accept-encoding").is_some_and(|e| e.contains("gzip"));
        if blob && self.fault == Fault::GzipsBlobs && takes_gzip {
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gz.write_all(&bytes).unwrap();
            headers.push("Content-Encoding: gzip".into());
            return ("200 OK", (gz.finish().unwrap(), headers));
        }
        let range = request.header("range").and_then(|r| {
            let (from, to) = r.strip_prefix("bytes=")?.split_once('-')?;
            Some(from.parse::<usize>().ok()?..to.parse::<usize>().ok()? + 1)
        });
        match range.filter(|_| self.fault != Fault::DropsRange) {
            Some(range) => {
                headers.push(format!("Content-Range: bytes {}-{}/{}", range.start, range.end - 1, bytes.len()));
                let from = if self.fault == Fault::WrongRange { 0 } else { range.start };
                ("206 Partial Content", (bytes[from..from + range.len()].to_vec(), headers))
            }
            None => ("200 OK", (bytes, headers)),
        }
    }
}

async fn request(stream: &mut BufReader<TcpStream>) -> Option<Request> {
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
    let headers = lines[1..].iter().filter_map(|l| l.split_once(':'));
    let headers = headers.map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned())).collect();
    Some(Request { method, path, headers })
}
