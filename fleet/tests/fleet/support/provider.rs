//! A provider on loopback that logs when each call arrives, and for which item.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A call that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    /// The id of the item: what its prompt has between `<` and `>`.
    pub(crate) id: String,
    /// The number of calls that arrived before.
    pub(crate) number: usize,
}

/// What the provider does with a call.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
    pub(crate) delay: Duration,
}

impl Reply {
    /// An answer after this delay.
    pub(crate) fn ok(delay: Duration) -> Self {
        Reply {
            status: 200,
            headers: String::new(),
            body: ANSWER.into(),
            delay,
        }
    }

    pub(crate) fn error(status: u16, headers: &str, code: &str) -> Self {
        let body =
            format!("{{\"error\":{{\"message\":\"no\",\"type\":\"{code}\",\"code\":\"{code}\"}}}}");
        Reply {
            status,
            headers: headers.into(),
            body,
            delay: Duration::ZERO,
        }
    }
}

const ANSWER: &str = r#"{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"yes"},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":30,"total_tokens":50}}"#;

type Rule = dyn Fn(&Arrival) -> Reply + Send + Sync;

/// Runs on the current tokio runtime.
pub(crate) struct LoggingProvider {
    address: SocketAddr,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl LoggingProvider {
    pub(crate) async fn start(rule: impl Fn(&Arrival) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let (log, rule): (_, Arc<Rule>) = (arrivals.clone(), Arc::new(rule));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, log.clone(), rule.clone()));
            }
        });
        LoggingProvider { address, arrivals }
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.arrivals.lock().unwrap().len()
    }

    /// How many calls arrived for each item.
    pub(crate) fn by_item(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for arrival in self.arrivals.lock().unwrap().iter() {
            *counts.entry(arrival.id.clone()).or_default() += 1;
        }
        counts
    }

    /// The largest number of arrivals in any window of this length.
    pub(crate) fn most_in(&self, window: Duration) -> usize {
        most_in(&self.arrivals(), window)
    }
}

pub(crate) fn most_in(arrivals: &[Arrival], window: Duration) -> usize {
    let (mut first, mut most) = (0, 0);
    for (last, arrival) in arrivals.iter().enumerate() {
        while arrival.at - arrivals[first].at >= window {
            first += 1;
        }
        most = most.max(last - first + 1);
    }
    most
}

async fn serve(stream: TcpStream, log: Arc<Mutex<Vec<Arrival>>>, rule: Arc<Rule>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            match reader.read_line(&mut line).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).await.is_err() {
            return;
        }
        let text = String::from_utf8(body).unwrap();
        let id = text
            .split_once('<')
            .and_then(|(_, rest)| rest.split_once('>'));
        let id = id.map_or(String::new(), |(id, _)| id.to_owned());
        let arrival = {
            let mut log = log.lock().unwrap();
            let arrival = Arrival {
                at: Instant::now(),
                id,
                number: log.len(),
            };
            log.push(arrival.clone());
            arrival
        };
        let reply = rule(&arrival);
        if !reply.delay.is_zero() {
            tokio::time::sleep(reply.delay).await;
        }
        let text = format!(
            "HTTP/1.1 {} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{}\r\n{}",
            reply.status,
            reply.body.len(),
            reply.headers,
            reply.body
        );
        if writer.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
