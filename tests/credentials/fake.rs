//! A server on loopback that answers as a function says, and the credentials that ask it.

use bytes::Bytes;
use http::Request;
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use unifiedai::{
    Error, ErrorKind, Secret,
    credentials::{Credentials, Fetcher, Token},
};

pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(other, _)| other == name);
        found.next().map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
    pub(crate) delay: Duration,
}

pub(crate) fn reply(status: u16, body: impl Into<String>) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.into(),
        delay: Duration::ZERO,
    }
}

impl Reply {
    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

pub(crate) struct Fake {
    pub(crate) origin: String,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    /// `answer` gets each request, and how many came before it.
    pub(crate) fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (kept, answer) = (asked.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let (kept, answer) = (kept.clone(), answer.clone());
                thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Fake { origin, asked }
    }

    pub(crate) fn count(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn serve(
    stream: TcpStream,
    kept: &Mutex<Vec<Asked>>,
    answer: &(impl Fn(&Asked, usize) -> Reply + ?Sized),
) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut writer = stream;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let mut words = line.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        let asked = Asked {
            method,
            path,
            headers,
            body: String::from_utf8(body).unwrap(),
        };
        let before = kept.lock().unwrap().len();
        let reply = answer(&asked, before);
        kept.lock().unwrap().push(asked);
        thread::sleep(reply.delay);
        let mut text = format!(
            "HTTP/1.1 {} X\r\ncontent-length: {}\r\n",
            reply.status,
            reply.body.len()
        );
        for (name, value) in &reply.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        text += &reply.body;
        writer.write_all(text.as_bytes()).ok()?;
    }
}

/// Tokens from an endpoint that answers with `token` and `seconds` in two words.
pub(crate) fn credentials(origin: &str) -> Credentials {
    let url = format!("{origin}/token");
    Credentials::from_async("test source", move |fetcher| fetch(fetcher, url.clone()))
}

async fn fetch(fetcher: Fetcher, url: String) -> Result<Token, Error> {
    let mut request = Request::post(&url)
        .body(Bytes::from("canary-body"))
        .unwrap();
    let mut secret = http::HeaderValue::from_static("canary-header");
    secret.set_sensitive(true);
    request.headers_mut().insert("x-secret", secret);
    fetcher.hide("canary-body");
    let answer = fetcher.send(request).await?;
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    let refused = || {
        Error::new(
            ErrorKind::Authentication,
            format!("{}: {text}", answer.status()),
        )
    };
    if !answer.status().is_success() {
        return Err(refused());
    }
    let (token, seconds) = text.split_once(' ').ok_or_else(refused)?;
    let lifetime = Duration::from_secs(seconds.parse().map_err(|_| refused())?);
    Ok(Token::bearer(Secret::new(token)?).expires_in(lifetime))
}
