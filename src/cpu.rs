//! The only bridge between tokio and rayon: work that burns a core (hashing, compression, parsing a large object, building
//! the tree) runs on rayon's pool, and the task that asked for it waits without holding a thread of tokio's.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::oneshot::{self, Receiver},
};

/// Work that was started. If nobody waits for it any more it is not begun, or goes on to its end if it was; a panic in it goes on
/// in whoever waits.
pub(crate) enum Running<T> {
    /// It was done in place; what came of it is taken by who waits.
    Done(Option<T>),
    Under(Receiver<thread::Result<T>>),
}

/// Runs `work` on rayon's pool and waits for it.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    start(work).await
}

/// Starts `work` on rayon's pool.
///
/// On a runtime of a single thread it runs in place: whoever chose such a runtime wants one thing to happen after the other,
/// and gets the same order of events every time.
pub(crate) fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Running<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Running::Done(Some(work()));
    }
    let (tx, rx) = oneshot::channel();
    rayon::spawn(move || {
        if tx.is_closed() {
            return;
        }
        let out = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        // The receiver is gone when the caller was cancelled: then nobody wants the answer.
        let _ = tx.send(out);
    });
    Running::Under(rx)
}

/// What it holds is never pinned.
impl<T> Unpin for Running<T> {}

impl<T> Future for Running<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let rx = match &mut *self {
            // A future that is over is not asked again.
            Self::Done(out) => return out.take().map_or(Poll::Pending, Poll::Ready),
            Self::Under(rx) => rx,
        };
        match ready!(Pin::new(rx).poll(cx)) {
            Ok(Ok(out)) => Poll::Ready(out),
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            // The closure above always sends; only a torn-down pool drops it.
            Err(_) => panic!("the thread pool was shut down while work was waiting"),
        }
    }
}
