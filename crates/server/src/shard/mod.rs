//! One shard: a thread with its own sockets, driving the decisions of a [`noctule_broker::Shard`].

mod clock;
mod connections;
mod durability;
mod event_loop;
mod lingering;
mod mailbox;
mod neighbours;
mod queue_reader;

pub(crate) use clock::Clock;
pub(crate) use durability::Durability;
pub(crate) use event_loop::{EventLoop, MAILBOX};
pub(crate) use mailbox::{Accepted, HandedOver, Mail, Mailbox};
pub(crate) use neighbours::{Neighbours, Step};
pub(crate) use queue_reader::QueueReader;

/// A connected stream as an event loop has it, and its other end.
#[cfg(test)]
fn stream_pair() -> (noctule_transport::Stream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    (noctule_transport::Stream::Tcp(mio::net::TcpStream::from_std(stream)), peer)
}
