//! A chat from the command line, over any of the three transports (with `--all-features`; hyper alone without).
//!
//! ```text
//! cargo run --example chat -- --stream "Why is fast inference important?"
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

mod arguments;
#[path = "../common/mod.rs"]
mod common;
mod show;

use arguments::Arguments;
use common::TransportName;
use show::Show;
use std::{process::ExitCode, sync::Arc};
use unifiedai::{
    AsyncClient, Error, UnifiedChatResponse, provider::Provider, transport::AsyncTransport,
};
#[cfg(feature = "ureq")]
use unifiedai::{Client, transport::Transport};

fn main() -> ExitCode {
    let arguments = match Arguments::parse() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            let json = std::env::args().any(|argument| argument == "--json");
            return if json {
                common::print_line::<()>(&Err(error))
            } else {
                ExitCode::FAILURE
            };
        }
    };
    let result = run(&arguments);
    if arguments.json {
        return common::print_line(&result);
    }
    match &result {
        Ok(response) => show::print_response(&arguments, response),
        Err(error) => eprintln!("{error}"),
    }
    common::exit_code(&result)
}

fn run(arguments: &Arguments) -> Result<UnifiedChatResponse, Error> {
    let (provider, _server) = common::provider(&arguments.provider, arguments.base_url.as_deref())?;
    match arguments.transport {
        #[cfg(feature = "ureq")]
        TransportName::Ureq => blocking(
            unifiedai::transport::UreqTransport::new(),
            provider,
            arguments,
        ),
        TransportName::Hyper => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|e| common::bad_usage(format!("no tokio runtime: {e}")))?;
            runtime.block_on(nonblocking(
                unifiedai::transport::HyperTransport::new(),
                provider,
                arguments,
            ))
        }
        #[cfg(feature = "smol")]
        TransportName::Smol => smol::block_on(nonblocking(
            unifiedai::transport::SmolTransport::new(),
            provider,
            arguments,
        )),
        #[cfg(not(all(feature = "ureq", feature = "smol")))]
        missing => Err(common::bad_usage(format!("{missing:?} was not built"))),
    }
}

#[cfg(feature = "ureq")]
fn blocking(
    transport: impl Transport<Body: Send + 'static> + Send + Sync + 'static,
    provider: Arc<dyn Provider>,
    arguments: &Arguments,
) -> Result<UnifiedChatResponse, Error> {
    let client = Client::shared(transport, provider).with_options(arguments.options());
    if !arguments.stream {
        return client.chat(arguments.request());
    }
    let mut show = Show::new(arguments);
    let mut stream = client.stream(arguments.request())?;
    for event in &mut stream {
        show.event(&event?);
    }
    show.end();
    stream.into_response()
}

async fn nonblocking(
    transport: impl AsyncTransport + 'static,
    provider: Arc<dyn Provider>,
    arguments: &Arguments,
) -> Result<UnifiedChatResponse, Error> {
    let client = AsyncClient::shared(transport, provider).with_options(arguments.options());
    if !arguments.stream {
        return client.chat(arguments.request()).await;
    }
    let mut show = Show::new(arguments);
    let mut stream = client.stream(arguments.request())?;
    while let Some(event) = stream.next().await {
        show.event(&event?);
    }
    show.end();
    stream.into_response().await
}
