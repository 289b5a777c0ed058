use super::Arguments;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::Duration;
use unifiedai::{StreamEvent, UnifiedChatResponse};

/// Prints a stream as it arrives: text on stdout, reasoning dimmed on stderr.
pub(crate) struct Show {
    quiet: bool,
    colour: bool,
}

impl Show {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        Show {
            quiet: arguments.json,
            colour: stderr().is_terminal(),
        }
    }

    pub(crate) fn event(&mut self, event: &StreamEvent) {
        if self.quiet {
            return;
        }
        match event {
            StreamEvent::TextDelta { text, .. } | StreamEvent::RefusalDelta { text, .. } => {
                print!("{text}");
                let _ = stdout().flush();
            }
            StreamEvent::ReasoningDelta { text, .. } if self.colour => {
                eprint!("\x1b[2m{text}\x1b[0m")
            }
            StreamEvent::ReasoningDelta { text, .. } => eprint!("{text}"),
            StreamEvent::ReasoningEnd { .. } => eprintln!(),
            StreamEvent::ToolCallEnd { call, .. } => println!("{}({})", call.name, call.arguments),
            _ => {}
        }
    }

    pub(crate) fn end(&self) {
        if !self.quiet {
            println!();
        }
    }
}

/// Prints a whole answer, or after a stream only its figures.
pub(crate) fn print_response(arguments: &Arguments, response: &UnifiedChatResponse) {
    if !arguments.stream {
        println!("{}", response.text());
        for call in response.tool_calls() {
            println!("{}({})", call.name, call.arguments);
        }
    }
    for warning in &response.warnings {
        eprintln!("warning: {}", warning.message);
    }
    eprintln!("{}", figures(response));
}

/// One line: tokens, time to first token, tokens per second, the server's own times.
fn figures(response: &UnifiedChatResponse) -> String {
    let metrics = &response.metrics;
    let mut parts = Vec::new();
    if let Some(usage) = &response.usage {
        if let (Some(prompt), Some(completion)) = (usage.prompt_tokens, usage.completion_tokens) {
            parts.push(format!("{prompt} + {completion} tokens"));
        }
        for (what, tokens) in [
            ("read from the cache", usage.cached_tokens),
            ("written to the cache", usage.cache_write_tokens),
        ] {
            if let Some(tokens) = tokens.filter(|tokens| *tokens > 0) {
                parts.push(format!("{tokens} {what}"));
            }
        }
        if let Some(rate) = metrics.tokens_per_second(usage) {
            parts.push(format!("{rate:.0} tokens/s"));
        }
    }
    let times = [
        ("first token after", metrics.ttft),
        ("all after", metrics.duration),
        ("server: queue", metrics.server.queue),
        ("prompt", metrics.server.prompt),
        ("completion", metrics.server.completion),
        ("total", metrics.server.total),
    ];
    parts.extend(
        times
            .into_iter()
            .filter_map(|(name, time)| Some(format!("{name} {}", ms(time?)))),
    );
    parts.join(", ")
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
