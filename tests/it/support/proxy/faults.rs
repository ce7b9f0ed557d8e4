//! The faults, each as what goes over the wire.

use super::{Question, tag};
use std::{io::Write as _, time::Duration};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// F04: the connection is reset before an answer.
    Reset,
    /// F05: cut after so much of a thousand of the body; 1000 is before the last byte.
    Cut(u32),
    /// F05 and F30: cut in the middle, and wrong before that.
    CutFlipped,
    /// F06: the body is shorter than its length says, and the connection is closed well.
    Shorter,
    /// F07: the body is longer than the object, and its length says so.
    Longer,
    /// F07: more bytes come than the length says.
    Surplus,
    /// F08: in chunks, without an end.
    Endless,
    /// F09: a few bytes a second.
    Drip,
    /// F10: a head, and then nothing.
    Stall,
    /// F10: nothing at all.
    Silent,
    /// F11 to F14, F18, F19, and other statuses, with a page.
    Status(u16),
    /// F13: busy, and asks for so many seconds.
    Busy(u16, u64),
    /// F15: 200 with an error of S3.
    S3Error,
    /// F16: 200 with a page to log in.
    LoginPage,
    /// F16, of the very length of the object.
    SameLength,
    /// F20
    RedirectLoop,
    /// F21
    Redirect(&'static str),
    /// F22: says that what is stored compressed is encoded so.
    SaysGzip,
    /// F23, F39: compressed, though nobody asked.
    Gzip,
    /// F23: a small body that becomes a very large one.
    Bomb,
    /// F24: cut the first time; then no parts.
    CutNoRange,
    /// F25: cut the first time; then another part, as its head says.
    CutWrongRange,
    /// F25: cut the first time; then another part than its head says.
    CutLyingRange,
    /// F26: cut the first time; then a part of something else.
    CutOtherVersion,
    /// F27, F29: what an older state had.
    Old,
    /// F29: now the one, now the other.
    Alternating,
    /// F30
    BitFlip,
    /// F38: a day ahead or behind.
    WrongDate(bool),
    /// In chunks, without a length: allowed.
    Chunked,
    /// Empty, with 200.
    Empty,
    /// 204.
    NoContent,
    /// 304 to a question that names no tag.
    Unasked304,
    /// A head that is none.
    Garbage,
}

/// What goes out.
pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
    /// How much at once, and how long to wait after each.
    pub(super) piece: usize,
    pub(super) pace: Duration,
    pub(super) endless: bool,
    pub(super) stalls: bool,
    pub(super) close: bool,
    pub(super) reset: bool,
}

impl Answer {
    fn new(status: &str, headers: &[String], length: usize, body: Vec<u8>) -> Self {
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
        headers.iter().for_each(|h| head += &format!("{h}\r\n"));
        Self {
            head: head + "\r\n",
            body,
            piece: 16 * 1024,
            pace: Duration::ZERO,
            endless: false,
            stalls: false,
            close: false,
            reset: false,
        }
    }

    fn page(status: &str) -> Self {
        let page = b"<html><body>an error page</body></html>".to_vec();
        Self::new(status, &["Content-Type: text/html".into()], page.len(), page)
    }
}

/// Answers a question about an object that is stored so, and was so in an older state; it is asked for the `time`th time.
pub(super) fn answer(
    fault: Fault,
    question: &Question,
    stored: Option<Vec<u8>>,
    old: Option<Vec<u8>>,
    time: usize,
) -> Answer {
    let stored = match fault {
        Fault::Old => old,
        Fault::Alternating if time.is_multiple_of(2) => old,
        _ => stored,
    };
    let mut answer = match stored {
        Some(bytes) => object(fault, question, bytes, time),
        None => Answer::page("404 Not Found"),
    };
    if question.method == "HEAD" {
        answer.body = Vec::new();
    }
    answer
}

fn object(fault: Fault, question: &Question, mut bytes: Vec<u8>, time: usize) -> Answer {
    let etag = format!("ETag: {}", tag(&bytes));
    if question.header("if-none-match").is_some_and(|known| etag.ends_with(known)) && fault == Fault::None {
        return Answer::new("304 Not Modified", &[etag], 0, Vec::new());
    }
    let cut = |answer: Answer, keep: usize| Answer { body: answer.body[..keep].to_vec(), close: true, ..answer };
    let whole = |bytes: &[u8]| Answer::new("200 OK", std::slice::from_ref(&etag), bytes.len(), bytes.to_vec());
    let size = bytes.len();
    let fair = || part(question, &bytes, &etag).unwrap_or_else(|| whole(&bytes));
    match fault {
        Fault::None | Fault::Old | Fault::Alternating => fair(),
        Fault::Reset => Answer { reset: true, ..whole(&bytes) },
        Fault::Cut(of_thousand) => {
            let answer = fair();
            let keep = (answer.body.len() * of_thousand as usize / 1000).min(answer.body.len() - 1);
            cut(answer, keep)
        }
        Fault::CutFlipped => {
            bytes[0] ^= 1;
            let answer = part(question, &bytes, &etag).unwrap_or_else(|| whole(&bytes));
            let keep = answer.body.len() / 2;
            cut(answer, keep)
        }
        Fault::Shorter => cut(fair(), 0),
        Fault::Longer => {
            bytes.extend_from_slice(&[b'x'; 1000]);
            whole(&bytes)
        }
        Fault::Surplus => {
            let mut answer = fair();
            answer.body.extend_from_slice(&[b'x'; 1000]);
            Answer { close: true, ..answer }
        }
        Fault::Endless => {
            let head = format!("HTTP/1.1 200 OK\r\n{etag}\r\nTransfer-Encoding: chunked\r\n\r\n");
            Answer { head, endless: true, body: Vec::new(), ..whole(&bytes) }
        }
        Fault::Drip => Answer { piece: 1, pace: Duration::from_millis(100), ..fair() },
        Fault::Stall => Answer { body: Vec::new(), stalls: true, ..fair() },
        Fault::Silent => Answer { head: String::new(), ..fair() },
        Fault::Status(code) => Answer::page(&format!("{code} As Told")),
        Fault::Busy(code, seconds) => {
            let mut answer = Answer::page(&format!("{code} Slow Down"));
            answer.head = answer.head.replacen("\r\n", &format!("\r\nRetry-After: {seconds}\r\n"), 1);
            answer
        }
        Fault::S3Error => whole(b"<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>"),
        Fault::LoginPage => whole(b"<html>please log in</html>"),
        Fault::SameLength => whole(&b"<html>please log in</html>".repeat(size / 26 + 1)[..size]),
        Fault::RedirectLoop => Answer::new("302 Found", &[format!("Location: {}", question.path)], 0, Vec::new()),
        Fault::Redirect(to) => Answer::new("302 Found", &[format!("Location: {to}")], 0, Vec::new()),
        Fault::SaysGzip => with_header(fair(), "Content-Encoding: gzip"),
        Fault::Gzip => with_header(whole(&gzip(&bytes)), "Content-Encoding: gzip"),
        Fault::Bomb => with_header(whole(&gzip(&vec![0; 32 << 20])), "Content-Encoding: gzip"),
        Fault::CutNoRange if time > 1 => whole(&bytes),
        Fault::CutWrongRange if question.header("range").is_some() => {
            let range = format!("Content-Range: bytes 0-{}/{size}", size - 1);
            Answer::new("206 Partial Content", &[etag.clone(), range], size, bytes.clone())
        }
        Fault::CutLyingRange if question.header("range").is_some() => {
            let mut answer = fair();
            answer.body = bytes[..answer.body.len()].to_vec();
            answer
        }
        Fault::CutOtherVersion if question.header("range").is_some() => {
            bytes.reverse();
            part(question, &bytes, "ETag: \"another\"").unwrap_or_else(|| whole(&bytes))
        }
        Fault::CutWrongRange | Fault::CutLyingRange | Fault::CutOtherVersion if time > 1 => whole(&bytes),
        Fault::CutNoRange | Fault::CutWrongRange | Fault::CutLyingRange | Fault::CutOtherVersion => {
            cut(whole(&bytes), size / 2)
        }
        Fault::BitFlip => {
            let at = time * 7919 % size;
            bytes[at] ^= 1 << (time % 8);
            whole(&bytes)
        }
        Fault::WrongDate(ahead) => {
            let date = if ahead { "Tue, 24 Nov 2026 23:00:00 GMT" } else { "Sun, 22 Nov 2026 00:00:00 GMT" };
            with_header(fair(), &format!("Date: {date}"))
        }
        Fault::Chunked => {
            let head = format!("HTTP/1.1 200 OK\r\n{etag}\r\nTransfer-Encoding: chunked\r\n\r\n");
            let mut body = format!("{size:x}\r\n").into_bytes();
            body.extend_from_slice(&bytes);
            body.extend_from_slice(b"\r\n0\r\n\r\n");
            Answer { head, body, ..whole(&bytes) }
        }
        Fault::Empty => whole(b""),
        Fault::NoContent => Answer::new("204 No Content", &[], 0, Vec::new()),
        Fault::Unasked304 => Answer::new("304 Not Modified", std::slice::from_ref(&etag), 0, Vec::new()),
        Fault::Garbage => Answer { head: "this is no HTTP\r\n\r\n".into(), close: true, ..whole(&bytes) },
    }
}

fn with_header(mut answer: Answer, header: &str) -> Answer {
    answer.head = answer.head.replacen("\r\n", &format!("\r\n{header}\r\n"), 1);
    answer
}

/// The part that is asked for, if one is.
fn part(question: &Question, bytes: &[u8], etag: &str) -> Option<Answer> {
    let (from, to) = question.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
    let from: usize = from.parse().ok()?;
    let to = if to.is_empty() { bytes.len() } else { to.parse::<usize>().ok()? + 1 };
    let range = format!("Content-Range: bytes {from}-{}/{}", to - 1, bytes.len());
    Some(Answer::new("206 Partial Content", &[etag.into(), range], to - from, bytes[from..to].to_vec()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}
