//! One client of gRPC: its calls, over HTTP/2 by the crate h2, which the event loop feeds and polls.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use h2::server::{Builder, Connection, Handshake, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use prost::Message;
use prost::bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::command::Desk;
use crate::connection::MOST_ANSWERED;
use crate::domains::{Failure, INVALID_ARGUMENT, RESOURCE_EXHAUSTED, UNIMPLEMENTED};
use crate::messages::{
    HealthCheckRequest, HealthCheckResponse, NOT_SERVING, RateLimitRequest, SERVING,
};
use crate::routes::bears;
use crate::visible::quoted;

const DECIDE: &str = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// The services whose health is known: all of them, and this one by its name.
const SERVICES: [&str; 2] = ["", "envoy.service.ratelimit.v3.RateLimitService"];
const NOT_FOUND: u8 = 5;
const UNAUTHENTICATED: u8 = 16;
/// Bytes of a message, and of the heads of a call; calls of a client at once.
const MOST_MESSAGE: usize = 64 * 1024;
const MOST_HEAD: u32 = 32 * 1024;
const MOST_CALLS: u32 = 128;
/// Bytes of half-sent messages, and of answers that a client makes no room for.
const MOST_KEPT: usize = 256 * 1024;
/// A flag, and the length of the message that follows.
const PREFIX: usize = 5;

/// All calls of one client.
pub struct Calls {
    pipe: Arc<Mutex<Pipe>>,
    state: State,
    open: Vec<Call>,
    ends: bool,
    /// A call waits for what no event will tell of.
    pub waits: bool,
    /// It is to be closed once it was answered.
    pub over: bool,
}

enum State {
    Begins(Box<Handshake<Ends, Bytes>>),
    Open(Box<Connection<Ends, Bytes>>),
}

/// A call that is not over.
struct Call {
    began: Instant,
    decides: bool,
    step: Step,
}

enum Step {
    /// Its message has still to come.
    Asks {
        message: BytesMut,
        stream: RecvStream,
        respond: SendResponse<Bytes>,
    },
    /// The client has to make room for its answer.
    Answers {
        answer: Bytes,
        stream: SendStream<Bytes>,
    },
}

/// Bytes that came from the client, and bytes that go there.
#[derive(Default)]
struct Pipe {
    input: Vec<u8>,
    taken: usize,
    output: Vec<u8>,
    /// Bytes of it for which there is room in this turn, and that there is more to do in the next one.
    room: usize,
    full: bool,
}

/// The ends of a pipe that h2 reads and writes.
struct Ends(Arc<Mutex<Pipe>>);

fn locked(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Ends {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut pipe = locked(&self.0);
        let rest = &pipe.input[pipe.taken..];
        if rest.is_empty() {
            return Poll::Pending;
        }
        let count = rest.len().min(room.remaining());
        room.put_slice(&rest[..count]);
        pipe.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ends {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = locked(&self.0);
        if pipe.output.len() > pipe.room {
            pipe.full = true;
            return Poll::Pending;
        }
        pipe.output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Calls {
    pub fn new() -> Self {
        let pipe = Arc::new(Mutex::new(Pipe::default()));
        let begun = Builder::new()
            .max_header_list_size(MOST_HEAD)
            .max_concurrent_streams(MOST_CALLS)
            .handshake(Ends(Arc::clone(&pipe)));
        Self {
            pipe,
            state: State::Begins(Box::new(begun)),
            open: Vec::new(),
            ends: false,
            waits: false,
            over: false,
        }
    }

    /// True if no call is under way.
    pub fn owes_nothing(&self) -> bool {
        self.open.is_empty()
    }

    /// The beginning of the oldest call under way.
    pub fn oldest(&self) -> Option<Instant> {
        self.open.iter().map(|call| call.began).min()
    }

    /// True if there is more to do once the client has read what goes there.
    pub fn is_held(&self) -> bool {
        locked(&self.pipe).full
    }

    /// Takes bytes of the client and answers every call that is whole; the number of them.
    pub fn answer(&mut self, bytes: &[u8], desk: &mut Desk, out: &mut Vec<u8>) -> usize {
        {
            let mut pipe = locked(&self.pipe);
            let taken = std::mem::take(&mut pipe.taken);
            pipe.input.drain(..taken);
            pipe.input.extend_from_slice(bytes);
            pipe.full = false;
            pipe.room = MOST_ANSWERED.saturating_sub(desk.spent);
            std::mem::swap(&mut pipe.output, out);
        }
        let mut context = Context::from_waker(Waker::noop());
        let others_wait = std::mem::take(&mut desk.waits);
        let answered = self.poll(desk, &mut context);
        self.waits = desk.waits;
        desk.waits |= others_wait;
        std::mem::swap(&mut locked(&self.pipe).output, out);
        answered
    }

    fn poll(&mut self, desk: &mut Desk, context: &mut Context<'_>) -> usize {
        let mut answered = 0;
        loop {
            let connection = match &mut self.state {
                State::Open(connection) => connection,
                State::Begins(begun) => {
                    match Future::poll(Pin::new(begun.as_mut()), context) {
                        Poll::Pending => return answered,
                        Poll::Ready(Err(_)) => {
                            self.over = true;
                            return answered;
                        }
                        Poll::Ready(Ok(open)) => self.state = State::Open(Box::new(open)),
                    }
                    continue;
                }
            };
            if desk.ends && !self.ends {
                // The client is told which call was the last, and sends no more.
                self.ends = true;
                connection.graceful_shutdown();
            }
            match connection.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    if let Some(call) = begun(request, respond, desk) {
                        self.open.push(call);
                    }
                    continue;
                }
                Poll::Ready(Some(Err(_)) | None) => {
                    self.over = true;
                    return answered;
                }
                Poll::Pending => {}
            }
            if self.is_held() {
                return answered;
            }
            // A message is answered once there is room for its answer. The client hears what was
            // taken of it when the connection is polled again: one whose window is full waits for that.
            let mut moved = false;
            let (mut asked, mut kept) = (0, 0);
            for (message, answer) in self.open.iter().map(Call::held) {
                asked += message;
                kept += answer;
            }
            self.open.retain_mut(|call| {
                let asks = matches!(call.step, Step::Asks { .. });
                if asks && (kept > MOST_KEPT || desk.spent >= MOST_ANSWERED) {
                    return true;
                }
                let before = call.held();
                let over = call.advance(desk, context, MOST_KEPT.saturating_sub(asked));
                let told = asks && (over || matches!(call.step, Step::Answers { .. }));
                let now = if over { (0, 0) } else { call.held() };
                moved |= over || told || now != before;
                answered += usize::from(told);
                asked = asked + now.0 - before.0;
                kept = kept + now.1 - before.1;
                !over
            });
            locked(&self.pipe).full |= desk.spent >= MOST_ANSWERED;
            if !moved {
                return answered;
            }
        }
    }
}

/// The call that a request begins; none if it was refused already.
fn begun(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    desk: &Desk,
) -> Option<Call> {
    let is_grpc = |value: &HeaderValue| value.as_bytes().starts_with(b"application/grpc");
    let kind = request.headers().get("content-type");
    let status = match (request.method(), kind.is_some_and(is_grpc)) {
        (&Method::POST, true) => None,
        (&Method::POST, false) => Some(StatusCode::UNSUPPORTED_MEDIA_TYPE),
        _ => Some(StatusCode::METHOD_NOT_ALLOWED),
    };
    if let Some(status) = status {
        let mut response = Response::new(());
        *response.status_mut() = status;
        let _ = respond.send_response(response, true);
        return None;
    }
    let path = request.uri().path();
    if ![DECIDE, HEALTH].contains(&path) {
        let reason = format!("unknown method {}", quoted(path.as_bytes()));
        refuse(&mut respond, &(UNIMPLEMENTED, reason));
        return None;
    }
    let decides = path == DECIDE;
    if let (true, Some(token)) = (decides, &desk.limits.token) {
        let told = request.headers().get("authorization");
        let told = told.map(HeaderValue::as_bytes).unwrap_or_default();
        if !bears(told, token) {
            let reason = "authorization: Bearer TOKEN is wanted".to_owned();
            refuse(&mut respond, &(UNAUTHENTICATED, reason));
            return None;
        }
    }
    Some(Call {
        began: Instant::now(),
        decides,
        step: Step::Asks {
            message: BytesMut::new(),
            stream: request.into_body(),
            respond,
        },
    })
}

impl Call {
    /// Bytes of its message that came, and of its answer that the client has no room for.
    fn held(&self) -> (usize, usize) {
        match &self.step {
            Step::Asks { message, .. } => (message.len(), 0),
            Step::Answers { answer, .. } => (0, answer.len()),
        }
    }

    /// Takes what came of the message, `room` bytes at most, and sends its answer as far as there is
    /// room; true if it is over, answered or given up.
    fn advance(&mut self, desk: &mut Desk, context: &mut Context<'_>, mut room: usize) -> bool {
        loop {
            let (message, stream, respond) = match &mut self.step {
                Step::Answers { answer, stream } => return sent(answer, stream, context),
                Step::Asks {
                    message,
                    stream,
                    respond,
                } => (message, stream, respond),
            };
            match stream.poll_data(context) {
                Poll::Pending => return false,
                Poll::Ready(Some(Err(_))) => return true,
                Poll::Ready(Some(Ok(bytes))) => {
                    let _ = stream.flow_control().release_capacity(bytes.len());
                    if message.len() + bytes.len() > MOST_MESSAGE {
                        let reason = format!("a message of at most {MOST_MESSAGE} bytes");
                        refuse(respond, &(RESOURCE_EXHAUSTED, reason));
                        return true;
                    }
                    if bytes.len() > room {
                        let reason =
                            format!("half-sent messages of a client of at most {MOST_KEPT} bytes");
                        refuse(respond, &(RESOURCE_EXHAUSTED, reason));
                        return true;
                    }
                    room -= bytes.len();
                    message.extend_from_slice(&bytes);
                }
                Poll::Ready(None) => {
                    let whole = std::mem::take(message).freeze();
                    match answered(self.decides, &whole, desk) {
                        Ok(answer) => match begin_answer(respond) {
                            Some(stream) => self.step = Step::Answers { answer, stream },
                            None => return true,
                        },
                        Err(_) if desk.has_to_wait() => {
                            *message = whole.into();
                            return false;
                        }
                        Err(failure) => {
                            refuse(respond, &failure);
                            return true;
                        }
                    }
                }
            }
        }
    }
}

fn answered(decides: bool, whole: &Bytes, desk: &mut Desk) -> Result<Bytes, Failure> {
    let invalid = |error: String| (INVALID_ARGUMENT, error);
    let [flag, a, b, c, d, ..] = whole[..] else {
        return Err(invalid("a call without a message".to_owned()));
    };
    if flag != 0 {
        return Err((UNIMPLEMENTED, "messages are not compressed here".to_owned()));
    }
    let message = whole.slice(PREFIX..);
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if message.len() != length {
        let found = message.len();
        return Err(invalid(format!("a message of {length} bytes has {found}")));
    }
    let unread = |error: prost::DecodeError| invalid(error.to_string());
    if decides {
        let request = RateLimitRequest::decode(message).map_err(unread)?;
        let answer = desk.limits.domains.decide(&request, &mut desk.known)?;
        return Ok(framed(&answer));
    }
    let request = HealthCheckRequest::decode(message).map_err(unread)?;
    if !SERVICES.contains(&request.service.as_str()) {
        let service = quoted(request.service.as_bytes());
        return Err((NOT_FOUND, format!("unknown service {service}")));
    }
    let status = match desk.can_decide() {
        true => SERVING,
        false => NOT_SERVING,
    };
    Ok(framed(&HealthCheckResponse { status }))
}

fn framed(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut framed = BytesMut::with_capacity(PREFIX + length);
    framed.put_u8(0);
    framed.put_u32(length as u32);
    // There is room for it.
    let _ = message.encode(&mut framed);
    framed.freeze()
}

// Whoever has gone meanwhile gets no answer.

fn begin_answer(to: &mut SendResponse<Bytes>) -> Option<SendStream<Bytes>> {
    let mut response = Response::new(());
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    to.send_response(response, false).ok()
}

/// Sends what the client has room for; true if that was all, or nothing is wanted any more.
fn sent(answer: &mut Bytes, stream: &mut SendStream<Bytes>, context: &mut Context<'_>) -> bool {
    while !answer.is_empty() {
        stream.reserve_capacity(answer.len());
        let room = stream.capacity().min(answer.len());
        if room == 0 {
            return stream.poll_reset(context).is_ready();
        }
        if stream.send_data(answer.split_to(room), false).is_err() {
            return true;
        }
    }
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let _ = stream.send_trailers(trailers);
    true
}

fn refuse(to: &mut SendResponse<Bytes>, (code, reason): &Failure) {
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from(u16::from(*code)));
    let shown = reason.bytes().map(|byte| match byte {
        b' '..=b'$' | b'&'..=b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    if let Ok(reason) = HeaderValue::try_from(shown.collect::<String>()) {
        headers.insert("grpc-message", reason);
    }
    let _ = to.send_response(response, true);
}
