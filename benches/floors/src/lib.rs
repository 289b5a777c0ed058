//! What both floors share: the arguments of the `load` example, and the request that it sends.

/// Who asks.
pub const USER_AGENT: &str = "floor/0.1.0";

/// `BASE_URL chat|stream N CONCURRENCY MODEL`.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// Version path included.
    pub base_url: String,
    /// Whether the answer is a stream.
    pub stream: bool,
    /// How many calls.
    pub calls: u64,
    /// How many at once.
    pub concurrency: u64,
    /// The model to ask.
    pub model: String,
}

impl Arguments {
    /// From the command line.
    pub fn parse() -> Self {
        let words: Vec<String> = std::env::args().skip(1).collect();
        let [base_url, mode, calls, concurrency, model] = words.as_slice() else {
            eprintln!("usage: BASE_URL chat|stream N CONCURRENCY MODEL");
            std::process::exit(2);
        };
        let number = |text: &str| text.parse().unwrap_or(1);
        Arguments {
            base_url: base_url.clone(),
            stream: mode == "stream",
            calls: number(calls),
            concurrency: number(concurrency),
            model: model.clone(),
        }
    }

    /// The request's body, made anew for each call as a program would.
    pub fn body(&self) -> String {
        let options = if self.stream {
            r#","stream":true,"stream_options":{"include_usage":true}"#
        } else {
            ""
        };
        format!(
            r#"{{"model":"{}","messages":[{{"role":"user","content":"Why is fast inference important?"}}]{options}}}"#,
            self.model
        )
    }

    /// What the answer is to be.
    pub fn accept(&self) -> &'static str {
        if self.stream {
            "text/event-stream"
        } else {
            "application/json"
        }
    }

    /// Where it goes.
    pub fn url(&self) -> String {
        format!("{}/chat/completions", self.base_url)
    }
}
