use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

/// How long one reader may take, and how much it may say.
const PATIENCE: Duration = Duration::from_secs(1);
const MAX_HEADER_BYTES: u64 = 8 * 1024;

/// How often to look for a reader.
const PAUSE: Duration = Duration::from_millis(10);

/// Serves the page as `/metrics` on a free port of loopback, to one reader at a time, until the time is over.
pub(crate) fn serve(time: Duration, page: impl Fn() -> String) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    println!("http://{}/metrics", listener.local_addr()?);
    let began = Instant::now();
    while began.elapsed() < time {
        match listener.accept() {
            // One that goes away is none of the others' business.
            Ok((stream, _)) => drop(respond(&stream, &page)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn respond(mut stream: &TcpStream, page: impl Fn() -> String) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream.take(MAX_HEADER_BYTES)).lines();
    let asked = lines.next().transpose()?.unwrap_or_default();
    // Closing a socket with unread bytes would cut the answer.
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let (status, body) = match asked.starts_with("GET /metrics ") {
        true => ("200 OK", page()),
        false => ("404 Not Found", String::new()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len(),
    )
}
