//! A connection that knows for how long its other end has taken nothing: whatever it is that is to be written, answers from a
//! file, from memory, or a great many short ones. (hyper itself waits for ever.)

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

pub(super) struct Socket {
    stream: TcpStream,
    waiting: Arc<Waiting>,
}

/// Since when a write waits.
#[derive(Debug)]
pub(super) struct Waiting {
    began: Instant,
    /// In milliseconds after the beginning; 0 while none does.
    since: AtomicU64,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> (Self, Arc<Waiting>) {
        let waiting = Arc::new(Waiting { began: Instant::now(), since: AtomicU64::new(0) });
        (Self { stream, waiting: Arc::clone(&waiting) }, waiting)
    }
}

impl Waiting {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        match written {
            // The first time counts, not each time that it is looked at again.
            Poll::Pending => _ = self.since.compare_exchange(0, self.now(), Ordering::Relaxed, Ordering::Relaxed),
            Poll::Ready(_) => self.since.store(0, Ordering::Relaxed),
        }
        written
    }

    /// Ends when nothing of what is to be written was taken for so long.
    pub(super) async fn too_long(&self, idle: Duration) {
        loop {
            tokio::time::sleep(idle / 4).await;
            let since = self.since.load(Ordering::Relaxed);
            if since > 0 && Duration::from_millis(self.now().saturating_sub(since)) > idle {
                return;
            }
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let Self { stream, waiting } = self.get_mut();
        waiting.note(Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, waiting } = self.get_mut();
        waiting.note(Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
