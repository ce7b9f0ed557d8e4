//! What stands between a registry and its reader: it passes on the files of a folder, and strikes requests with one of the
//! faults F01 to F40. By hand on sockets, since a library for servers does not lie about lengths, break off in the middle of
//! a head, or write without end.

mod faults;

pub(crate) use faults::Fault;

use super::{second_reader, weather::Dice};
use faults::Answer;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpSocket, TcpStream},
};

/// How often a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Often {
    /// The first time.
    Once,
    /// One request of ten.
    Tenth,
    Always,
}

/// What to do to whom.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) fault: Fault,
    pub(crate) often: Often,
    /// Only requests for these keys; all, if there are none.
    pub(crate) keys: Vec<String>,
    /// An older state of the same registry.
    pub(crate) old: Option<PathBuf>,
    pub(crate) seed: u64,
}

impl Plan {
    pub(crate) fn new(fault: Fault, often: Often) -> Self {
        Self { fault, often, keys: Vec::new(), old: None, seed: 1 }
    }
}

/// A question as it came.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
}

impl Question {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The key that is asked for.
    pub(crate) fn key(&self) -> &str {
        let path = self.path.split('?').next().unwrap_or_default();
        // A proxy in the usual sense is told the whole address.
        let path = path.split_once("://").map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
        path.trim_start_matches('/')
    }
}

struct Shared {
    folder: PathBuf,
    plan: Mutex<Plan>,
    dice: Dice,
    asked: Mutex<Vec<Question>>,
    struck: AtomicUsize,
    connections: AtomicUsize,
    /// Questions that wait for their answer, and the most that did so at once.
    waiting: (AtomicUsize, AtomicUsize),
    /// How often each key was asked for.
    times: Mutex<HashMap<String, usize>>,
    /// The most bytes that went out in one answer beyond those of the object.
    excess: AtomicUsize,
    delay: Mutex<Duration>,
}

/// A proxy that runs as long as the test's runtime.
pub(crate) struct Proxy {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Proxy {
    pub(crate) async fn start(folder: &Path, plan: Plan) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // So that what nobody reads is not written either.
        socket.set_send_buffer_size(16 * 1024).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1024).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            folder: folder.into(),
            dice: Dice::new(plan.seed),
            plan: Mutex::new(plan),
            asked: Mutex::default(),
            struck: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            waiting: Default::default(),
            times: Mutex::default(),
            excess: AtomicUsize::new(0),
            delay: Mutex::default(),
        });
        let proxy = Self { url, shared: Arc::clone(&shared) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::Relaxed);
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { shared.connection(stream).await });
            }
        });
        proxy
    }

    /// One that passes everything on.
    pub(crate) async fn fair(folder: &Path) -> Self {
        Self::start(folder, Plan::new(Fault::None, Often::Always)).await
    }

    /// What was asked since the last call.
    pub(crate) fn asked(&self) -> Vec<Question> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }

    /// How many requests were struck.
    pub(crate) fn struck(&self) -> usize {
        self.shared.struck.load(Ordering::Relaxed)
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The most questions that waited for their answers at once.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.waiting.1.load(Ordering::Relaxed)
    }

    pub(crate) fn excess(&self) -> usize {
        self.shared.excess.load(Ordering::Relaxed)
    }

    /// From now on, another fault.
    pub(crate) fn set(&self, plan: Plan) {
        *self.shared.plan.lock().unwrap() = plan;
    }

    /// From now on, every answer takes so long.
    pub(crate) fn delay(&self, time: Duration) {
        *self.shared.delay.lock().unwrap() = time;
    }
}

impl Shared {
    async fn connection(&self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut stream = BufReader::new(stream);
        while let Some(question) = question(&mut stream).await {
            self.asked.lock().unwrap().push(question.clone());
            let delay = *self.delay.lock().unwrap();
            let (now, most) = &self.waiting;
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(delay).await;
            now.fetch_sub(1, Ordering::Relaxed);
            let plan = self.plan.lock().unwrap().clone();
            let key = question.key().to_owned();
            let time = {
                let mut times = self.times.lock().unwrap();
                let time = times.entry(key.clone()).or_default();
                *time += 1;
                *time
            };
            let strikes = (plan.keys.is_empty() || plan.keys.contains(&key))
                && match plan.often {
                    Often::Once => self.struck.load(Ordering::Relaxed) == 0,
                    Often::Tenth => self.dice.roll(10) == 0,
                    Often::Always => true,
                };
            let fault = if strikes { plan.fault } else { Fault::None };
            if strikes {
                self.struck.fetch_add(1, Ordering::Relaxed);
            }
            let stored = std::fs::read(self.folder.join(&key)).ok();
            let old = plan.old.as_ref().and_then(|old| std::fs::read(old.join(&key)).ok());
            let answer = faults::answer(fault, &question, stored.clone(), old, time);
            if !self.send(stream.get_mut(), answer, stored.map_or(0, |s| s.len())).await {
                return;
            }
        }
    }

    /// Whether the connection can be used on.
    async fn send(&self, stream: &mut TcpStream, answer: Answer, size: usize) -> bool {
        if answer.reset {
            // What is not read yet makes the system answer with a reset.
            let _ = stream.set_zero_linger();
            return false;
        }
        if answer.head.is_empty() {
            // Silence; a client that is gone ends it.
            let mut rest = [0; 1];
            let _ =
                tokio::time::timeout(Duration::from_secs(60), tokio::io::AsyncReadExt::read(stream, &mut rest)).await;
            return false;
        }
        let mut sent = 0;
        let mut whole = stream.write_all(answer.head.as_bytes()).await.is_ok();
        for piece in answer.body.chunks(answer.piece.max(1)) {
            whole = whole && stream.write_all(piece).await.is_ok();
            if !whole {
                break;
            }
            sent += piece.len();
            if !answer.pace.is_zero() {
                tokio::time::sleep(answer.pace).await;
            }
        }
        while answer.endless && whole {
            whole = stream.write_all(b"1000\r\n").await.is_ok()
                && stream.write_all(&[b'x'; 0x1000]).await.is_ok()
                && stream.write_all(b"\r\n").await.is_ok();
            sent += 0x1000;
        }
        self.excess.fetch_max(sent.saturating_sub(size), Ordering::Relaxed);
        if answer.stalls {
            let mut rest = [0; 1];
            let _ =
                tokio::time::timeout(Duration::from_secs(60), tokio::io::AsyncReadExt::read(stream, &mut rest)).await;
            return false;
        }
        whole && !answer.close
    }
}

/// The next request on a connection.
pub(crate) async fn question<S: tokio::io::AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Option<Question> {
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
    Some(Question { method, path, headers })
}

fn tag(bytes: &[u8]) -> String {
    format!("\"{}\"", &second_reader::hex(bytes)[..16])
}
