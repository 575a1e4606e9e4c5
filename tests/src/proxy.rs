//! A wire between a client and a broker that can be cut.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes bytes on between clients and one broker, until it is told to cut.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    live: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Listens on a free port and connects each client to `broker_port`. Its threads end with the connections,
    /// and the last one with the test program.
    ///
    /// # Panics
    /// If nothing can be listened on.
    pub fn to(broker_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let live = Arc::new(Mutex::new(Vec::new()));
        let streams = Arc::clone(&live);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // No broker there: the client sees its connection closed, as it would without a proxy.
                let Ok(broker) = TcpStream::connect(("127.0.0.1", broker_port)) else { continue };
                let (Ok(client2), Ok(broker2)) = (client.try_clone(), broker.try_clone()) else { continue };
                let (Ok(client3), Ok(broker3)) = (client.try_clone(), broker.try_clone()) else { continue };
                streams.lock().expect("no holder of this lock panics").extend([client3, broker3]);
                thread::spawn(move || pass_on(client, broker));
                thread::spawn(move || pass_on(broker2, client2));
            }
        });
        Self { address, live }
    }

    /// The port to which clients connect.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cuts every connection. New ones are let through.
    ///
    /// # Panics
    /// Never: no holder of the lock panics.
    pub fn cut(&self) {
        for stream in self.live.lock().expect("no holder of this lock panics").drain(..) {
            // The peers may have closed it already.
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16384];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
    drop(from.shutdown(Shutdown::Both));
}
