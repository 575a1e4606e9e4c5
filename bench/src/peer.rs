//! One client of the load: a socket, bytes to send, and the frames that came.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use noctule_protocol::frame::next_frame;
use noctule_protocol::packet::{Connect, Filters, Packet, Subscribe, SubscriptionOptions};
use noctule_protocol::property::Properties;
use noctule_protocol::{PacketId, ProtocolVersion, QoS, SubscriptionFilter};

const VERSION: ProtocolVersion = ProtocolVersion::V311;

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    partial: Vec<u8>,
    out: Vec<u8>,
    blocked: bool,
}

impl Peer {
    /// Connects, and subscribes if there is a filter; returns when the broker has answered.
    pub(crate) fn open(address: SocketAddr, client_id: &str, filter: Option<(&str, QoS)>) -> Result<Self> {
        let mut stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut bytes = Vec::new();
        let connect = Connect {
            version: VERSION,
            bridge: false,
            clean_start: true,
            keep_alive: 0,
            properties: Properties::EMPTY,
            client_id,
            will: None,
            user_name: None,
            password: None,
        };
        Packet::Connect(connect).encode(VERSION, &mut bytes)?;
        stream.write_all(&bytes)?;
        expect(&mut stream, 4, 0x20).context("CONNACK")?;
        if let Some((filter, qos)) = filter {
            let filter = SubscriptionFilter::parse(filter)?;
            let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
            let subscribe = Subscribe {
                packet_id: PacketId::FIRST,
                properties: Properties::EMPTY,
                filters: Filters::from_pairs([(filter, options)]).context("no filter")?,
            };
            bytes.clear();
            Packet::Subscribe(subscribe).encode(VERSION, &mut bytes)?;
            stream.write_all(&bytes)?;
            expect(&mut stream, 5, 0x90).context("SUBACK")?;
        }
        stream.set_nonblocking(true)?;
        Ok(Self { stream: TcpStream::from_std(stream), partial: Vec::new(), out: Vec::new(), blocked: false })
    }

    /// Where packets to send are appended.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// The socket has room again.
    pub(crate) fn unblock(&mut self) {
        self.blocked = false;
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.blocked || self.out.is_empty() {
            return Ok(());
        }
        match self.stream.write(&self.out) {
            Ok(written) => {
                self.blocked = written < self.out.len();
                self.out.drain(..written);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.blocked = true;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads what has come and shows each whole frame: its first byte and its body. False when more may be there.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        mut frame: impl FnMut(&mut Vec<u8>, u8, &[u8]) -> Result<()>,
    ) -> Result<bool> {
        let read = match self.stream.read(buffer) {
            Ok(0) => bail!("the broker closed a connection"),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error.into()),
        };
        let whole;
        let mut bytes = &buffer[..read];
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(bytes);
            whole = std::mem::take(&mut self.partial);
            bytes = &whole;
        }
        while let Some((next, length)) = next_frame(bytes, u32::MAX)? {
            frame(&mut self.out, next.first_byte, next.body)?;
            bytes = &bytes[length..];
        }
        self.partial.extend_from_slice(bytes);
        Ok(read < buffer.len())
    }
}

/// Reads exactly one answer of known length and type.
fn expect(stream: &mut std::net::TcpStream, length: usize, first_byte: u8) -> Result<()> {
    let mut answer = [0; 8];
    let answer = &mut answer[..length];
    stream.read_exact(answer).map_err(|error: io::Error| anyhow::anyhow!("no answer: {error}"))?;
    ensure!(answer[0] == first_byte && answer[length - 1] < 0x80, "unexpected answer {answer:02x?}");
    Ok(())
}
