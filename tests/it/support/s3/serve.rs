//! Connections, and the faults that strike them.

use super::{
    faults::Effect,
    protocol::{admit, condition, perform},
    state::{Conditions, State},
    wire::{Asked, Op, REQUEST, Reply, http_date, trouble},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Body as _, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::net::TcpListener;

type Shared = Arc<Mutex<State>>;
type Body = UnsyncBoxBody<Bytes, Gone>;

/// The connection is closed.
#[derive(Debug)]
pub(super) struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed, as the test asked for")
    }
}

impl std::error::Error for Gone {}

fn locked<T>(shared: &Shared, f: impl FnOnce(&mut State) -> T) -> T {
    f(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Serves on loopback for as long as the runtime lives, and gives the URL.
pub(super) async fn listen(shared: Shared) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let shared = Arc::clone(&shared);
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            // An error is what the client sees of a fault.
            tokio::spawn(
                async move { drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await) },
            );
        }
    });
    url
}

async fn answer(shared: Shared, request: Request<Incoming>) -> Result<Response<Body>, Gone> {
    let (parts, body) = request.into_parts();
    let asked = Asked::new(parts);
    let effect = locked(&shared, |state| {
        if state.dead {
            return Err(Gone);
        }
        let effect = state.strike(&asked);
        state.dead = matches!(effect, Some(Effect::DieBefore | Effect::DieHalfway));
        if matches!(effect, Some(Effect::Drop | Effect::DieBefore | Effect::DieHalfway)) {
            state.note(&asked, 0, false, 0);
        }
        Ok(effect)
    })?;
    match effect {
        Some(Effect::Drop | Effect::DieBefore) => return Err(Gone),
        Some(Effect::DieHalfway) => {
            receive(body, true).await?;
            return Err(Gone);
        }
        _ => {}
    }
    let body = receive(body, false).await?;
    if let Some(Effect::Answer(status)) = effect {
        locked(&shared, |state| state.note(&asked, status, false, body.len()));
        return Ok(respond(&shared, &asked, trouble(status, &asked.key), false));
    }
    // In a task of its own: a client that goes away does not take back what it sent.
    let done = tokio::spawn({
        let shared = Arc::clone(&shared);
        async move {
            let reply = take_effect(&shared, &asked, body, effect).await;
            (asked, reply)
        }
    });
    let (asked, reply) = done.await.map_err(|_| Gone)?;
    let reply = reply?;
    match effect {
        Some(Effect::AnswerAfter(status)) => Ok(respond(&shared, &asked, trouble(status, &asked.key), false)),
        Some(Effect::DropAfter | Effect::DieAfter) => Err(Gone),
        Some(Effect::StallAfter(time)) => {
            tokio::time::sleep(time).await;
            Ok(respond(&shared, &asked, reply, false))
        }
        Some(Effect::CutBody) => Ok(respond(&shared, &asked, reply, true)),
        _ => Ok(respond(&shared, &asked, reply, false)),
    }
}

/// Reads a body, or the first half of it.
async fn receive(mut body: Incoming, half: bool) -> Result<Bytes, Gone> {
    let end = if half { body.size_hint().lower() / 2 } else { u64::MAX };
    let mut bytes = BytesMut::new();
    while (bytes.len() as u64) < end
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame.map_err(|_| Gone)?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

async fn take_effect(shared: &Shared, asked: &Asked, body: Bytes, effect: Option<Effect>) -> Result<Reply, Gone> {
    if let Some(Effect::StallBefore(time)) = effect {
        tokio::time::sleep(time).await;
    }
    let racing = locked(shared, |state| match state.settings.conditions {
        Conditions::Racing(time) if asked.op == Op::Put && asked.is_conditional() => {
            Some((time, condition(state, asked)))
        }
        _ => None,
    });
    let checked = match racing {
        None => None,
        Some((time, failed)) => {
            tokio::time::sleep(time).await;
            Some(failed)
        }
    };
    locked(shared, |state| {
        if state.dead {
            return Err(Gone);
        }
        let sent = body.len();
        let reply = match (admit(state, asked, &body), checked) {
            (Err(refused), _) => refused,
            (Ok(()), Some(Some(failed))) => failed,
            (Ok(()), checked) => perform(state, asked, body, checked.is_none()),
        };
        let told = match effect {
            Some(Effect::AnswerAfter(status)) => status,
            Some(Effect::DropAfter | Effect::DieAfter) => 0,
            _ => reply.status,
        };
        state.dead = effect == Some(Effect::DieAfter);
        state.note(asked, told, reply.status < 300, sent.max(reply.body.len()));
        Ok(reply)
    })
}

fn respond(shared: &Shared, asked: &Asked, mut reply: Reply, cut: bool) -> Response<Body> {
    let (id, date) = locked(shared, |state| (state.request_id(), http_date(state.now())));
    if reply.status >= 400 {
        reply.body = String::from_utf8_lossy(&reply.body).replace(REQUEST, &id).into();
    }
    let mut response = Response::builder().status(reply.status).header("Date", date).header("x-amz-request-id", id);
    for (name, value) in &reply.headers {
        response = response.header(name, value);
    }
    if asked.op == Op::Head {
        reply.body = Bytes::new();
    }
    let body = if cut { half(reply.body) } else { Full::new(reply.body).map_err(never).boxed_unsync() };
    response.body(body).unwrap()
}

fn never(e: Infallible) -> Gone {
    match e {}
}

/// The first half of a body, and then the end of the connection.
fn half(body: Bytes) -> Body {
    let first = futures::stream::iter([Ok(Frame::data(body.slice(..body.len() / 2)))]);
    let last = futures::stream::once(async {
        // What was sent before has to get out first.
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err(Gone)
    });
    StreamBody::new(first.chain(last)).boxed_unsync()
}
