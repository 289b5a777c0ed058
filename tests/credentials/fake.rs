//! A server on loopback that answers as a function says, and the credentials that ask it.

use bytes::Bytes;
use http::Request;
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};
use unifiedai::{
    Error, ErrorKind, Secret,
    credentials::{Credentials, Environment, Fetcher, Token},
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
    /// A pause, and the end of the body that follows it.
    pub(crate) rest: Option<(Duration, String)>,
}

pub(crate) fn reply(status: u16, body: impl Into<String>) -> Reply {
    Reply {
        status,
        headers: Vec::new(),
        body: body.into(),
        delay: Duration::ZERO,
        rest: None,
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

    /// Pauses after the body, then sends its end.
    pub(crate) fn then(mut self, pause: Duration, rest: impl Into<String>) -> Self {
        self.rest = Some((pause, rest.into()));
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
    let (mut reader, mut writer) = (BufReader::new(&stream), &stream);
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
        let rest = reply.rest.as_ref().map_or(0, |(_, rest)| rest.len());
        let mut text = format!(
            "HTTP/1.1 {} X\r\ncontent-length: {}\r\n",
            reply.status,
            reply.body.len() + rest
        );
        for (name, value) in &reply.headers {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        text += &reply.body;
        writer.write_all(text.as_bytes()).ok()?;
        if let Some((pause, rest)) = reply.rest {
            thread::sleep(pause);
            writer.write_all(rest.as_bytes()).ok()?;
        }
    }
}

pub(crate) fn in_an_hour() -> String {
    let text = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
    // `Sun, 29 Nov 2026 12:00:00 GMT` as `2026-11-29T12:00:00Z`.
    let words: Vec<&str> = text.split_whitespace().collect();
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(words[2]).unwrap() / 3 + 1;
    format!("{}-{month:02}-{}T{}Z", words[3], words[1], words[4])
}

/// A folder of a test's own, with files.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(files: &[(&str, &str)]) -> Folder {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("unifiedai-credentials-{}-{number}", std::process::id());
        let folder = Folder(std::env::temp_dir().join(name));
        for (file, text) in files {
            folder.write(file, text);
        }
        folder
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Sets the permissions on Unix.
    pub(crate) fn set_mode(&self, file: &str, mode: u32) {
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(self.0.join(file), mode).unwrap();
        }
        #[cfg(not(unix))]
        let _ = (file, mode);
    }

    pub(crate) fn path(&self, file: &str) -> String {
        self.0.join(file).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment::new(|name| {
        let found = variables.iter().find(|(other, _)| *other == name);
        found.map(|(_, value)| (*value).to_owned())
    })
}

/// What a provider gets with this bearer token: the token, and all headers.
#[cfg(feature = "ureq")]
pub(crate) fn used(credentials: &Credentials) -> Result<(String, Vec<(String, String)>), Error> {
    let whole = super::manual_driver::WHOLE;
    let llm = Fake::start(move |_, _| reply(200, whole).header("content-type", "application/json"));
    let auth = unifiedai::provider::Auth::Bearer(credentials.clone().into());
    let provider = unifiedai::provider::OpenAiChat::custom(format!("{}/v1", llm.origin)).auth(auth);
    let options = unifiedai::CallOptions::default();
    let options = options.timeout(Duration::from_secs(60)).max_retries(0);
    let transport = unifiedai::transport::UreqTransport::new();
    let client = unifiedai::Client::new(transport, provider.build().unwrap()).with_options(options);
    let result = client.chat(unifiedai::ChatRequest::new("m").user("hi"));
    let mut asked = llm.asked.lock().unwrap();
    match result {
        Ok(_) => {
            let asked = asked.remove(0);
            let bearer = asked.header("authorization").unwrap();
            Ok((
                bearer.strip_prefix("Bearer ").unwrap().to_owned(),
                asked.headers,
            ))
        }
        Err(error) => {
            assert!(asked.is_empty(), "a request went out without a token");
            Err(error)
        }
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
