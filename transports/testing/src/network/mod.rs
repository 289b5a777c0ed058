//! Cases about what is between a client and a server: proxies, addresses, certificates, and what errors say of them.
//!
//! Each takes a function that makes a transport with the given options.

mod connecting;
mod errors;
mod proxies;
mod proxy_failures;
mod socks;

pub use self::{connecting::*, errors::*, proxies::*, proxy_failures::*, socks::*};

use crate::Authority;
use std::error::Error;
use unifiedai_http::{Options, proxy::Proxies};
use unifiedai_transport::TransportError;

/// One test a case. `$make` is a function from `unifiedai_http::Options` to a transport.
#[macro_export]
macro_rules! option_tests {
    ($make:ident) => {
        $crate::each_network_case! { $make:
            plain_http_uses_the_absolute_url_at_a_proxy
            a_plain_connection_to_a_proxy_is_kept_if_announced
            https_goes_through_a_tunnel
            any_2xx_opens_the_tunnel
            a_proxy_may_speak_tls
            loopback_and_exceptions_are_reached_directly
            socks_5_carries_plain_and_tls
            socks_5_with_a_password_and_a_resolved_target
            socks_5_refusals_are_final
            a_proxy_that_refuses_is_final
            credentials_refused_without_a_tunnel
            unreachable_target_behind_a_proxy_is_retryable
            a_proxy_setting_that_cannot_be_used_sends_nothing
            a_proxy_that_is_not_there_is_named
            a_silent_proxy_runs_into_the_connect_limit
            connect_errors_name_address_and_cause
            plain_http_on_an_https_port_is_no_failure_to_connect
            what_is_not_http_is_named
            a_connect_limit_of_zero_uses_a_kept_connection_alone
            a_connect_limit_may_be_long
            a_dead_first_address_costs_at_most_300_ms
            a_refused_address_costs_nothing
            all_addresses_dead_run_into_the_connect_limit
            an_idle_connection_is_closed_when_its_time_is_over
            a_connection_that_the_server_closed_is_closed_here_too
            no_connection_is_kept_where_none_may_be
            an_early_response_wins
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! each_network_case {
    ($make:ident: $($case:ident)*) => {
        mod with_options {
            $(
                #[test]
                fn $case() {
                    $crate::network::$case(super::$make);
                }
            )*
        }
    };
}

pub(crate) fn options(authority: &Authority) -> Options {
    Options::new()
        .tls(authority.client())
        .proxies(Proxies::none())
}

pub(crate) fn plain() -> Options {
    options(&Authority::new("nobody.example"))
}

/// An error and its causes, one text a line.
pub(crate) fn chain(failure: &TransportError) -> String {
    let mut text = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        text += &format!("\n{error}");
        cause = error.source();
    }
    text
}

/// The words stand in an error's chain, each once.
pub(crate) fn error_contains(failure: &TransportError, words: &[&str]) {
    let text = chain(failure);
    for word in words {
        assert_eq!(text.matches(word).count(), 1, "`{word}` in: {text}");
    }
}
