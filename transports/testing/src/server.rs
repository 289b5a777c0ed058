use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// No test waits longer than this for its peer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server on loopback whose connections are each handled by a thread. It stops listening when dropped.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    connections: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// `handle` gets every connection.
    pub fn new(handle: impl Fn(&mut Peer) + Send + Sync + 'static) -> Server {
        Server::listen("http", move |tcp| {
            let mut peer = Peer {
                tcp: tcp.try_clone().unwrap(),
                stream: Box::new(tcp),
            };
            handle(&mut peer);
        })
    }

    /// The same over TLS. Closing tells the client nothing; see [`Peer::close_notify`].
    pub fn tls(
        config: Arc<ServerConfig>,
        handle: impl Fn(&mut Peer) + Send + Sync + 'static,
    ) -> Server {
        Server::listen("https", move |tcp| {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut peer = Peer {
                tcp: tcp.try_clone().unwrap(),
                stream: Box::new(StreamOwned::new(session, tcp)),
            };
            handle(&mut peer);
        })
    }

    /// Answers every request on every connection with the same bytes.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::new(move |peer| {
            while peer.request().is_some() {
                peer.write(&answer);
            }
        })
    }

    /// Answers one request with these bytes and closes the connection.
    pub fn closing(answer: impl Into<Vec<u8>>) -> Server {
        let answer = answer.into();
        Server::new(move |peer| {
            if peer.request().is_some() {
                peer.write(&answer);
            }
        })
    }

    fn listen(scheme: &'static str, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server {
            address: listener.local_addr().unwrap(),
            scheme,
            connections: Arc::default(),
            stopped: Arc::default(),
        };
        let connections = Arc::clone(&server.connections);
        let stopped = Arc::clone(&server.stopped);
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                connections.fetch_add(1, Ordering::SeqCst);
                tcp.set_read_timeout(Some(PATIENCE)).unwrap();
                tcp.set_write_timeout(Some(PATIENCE)).unwrap();
                tcp.set_nodelay(true).unwrap();
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(tcp));
            }
        });
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of a path on it.
    pub fn uri(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// How many connections were opened to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

trait Stream: Read + Write + Send {
    fn close_notify(&mut self) {}
}

impl Stream for TcpStream {}

impl<S: Read + Write + Send> Stream for StreamOwned<ServerConnection, S> {
    fn close_notify(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
    }
}

/// In place of a stream that was moved.
struct Closed;

impl Stream for Closed {}

impl Read for Closed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Ok(0)
    }
}

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The server's end of one connection.
pub struct Peer {
    tcp: TcpStream,
    stream: Box<dyn Stream>,
}

/// What the client sent.
pub struct Request {
    /// Request line and headers as received.
    pub head: String,
    /// As long as its `content-length` says.
    pub body: Vec<u8>,
}

impl Peer {
    /// The next request, or `None` if the client has closed.
    pub fn request(&mut self) -> Option<Request> {
        let head = self.head()?;
        let length = header(&head, "content-length").map_or(0, |value| value.parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        Some(Request { head, body })
    }

    /// The next request's head.
    pub fn head(&mut self) -> Option<String> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return None,
            }
        }
        Some(String::from_utf8(head).unwrap())
    }

    /// So many bytes, or `None` if the client closes before.
    pub fn read(&mut self, count: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Waits for some bytes. `None` once the client has closed.
    pub fn some(&mut self) -> Option<usize> {
        self.stream
            .read(&mut [0; 4096])
            .ok()
            .filter(|size| *size > 0)
    }

    /// The same, leaving no copy of them.
    pub fn some_wiped(&mut self) -> Option<usize> {
        let mut buffer = vec![0; 4096];
        let size = self.stream.read(&mut buffer).ok();
        buffer.fill(0);
        std::hint::black_box(&buffer);
        size.filter(|size| *size > 0)
    }

    /// Goes on with TLS on the same connection.
    pub fn start_tls(&mut self, config: &Arc<ServerConfig>) {
        let session = ServerConnection::new(Arc::clone(config)).unwrap();
        let below = std::mem::replace(&mut self.stream, Box::new(Closed));
        self.stream = Box::new(StreamOwned::new(session, below));
    }

    /// Ends the server's side.
    pub fn close_write(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Write);
    }

    /// Sends bytes. It is no failure if the client has gone.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self
            .stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush());
    }

    /// Says over TLS that nothing more will come.
    pub fn close_notify(&mut self) {
        self.stream.close_notify();
    }

    /// Whether the client closes or resets the connection within some seconds.
    pub fn sees_close(&mut self) -> bool {
        self.tcp
            .set_read_timeout(Some(Duration::from_secs(3)))
            .unwrap();
        let mut rest = [0; 1024];
        loop {
            match self.tcp.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Ends the server's side and reads until the client has ended its own.
    pub fn linger(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Write);
        let _ = io::copy(&mut self.tcp, &mut io::sink());
    }
}

/// A header's value in a head as text.
pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}
