#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(
    clippy::disallowed_methods,
    reason = "tests own threads, sockets and clocks"
)]

pub mod async_cases;
mod blocking;
pub mod cases;
#[cfg(target_os = "linux")]
pub mod memory;
pub mod network;
pub mod nginx;
pub mod proxy;
mod server;
mod source;
#[cfg(unix)]
pub mod stopped;
mod tls;

pub use rustls;

pub use blocking::{BlockOn, Blocking};
pub use server::{Peer, Request, Server};
pub use source::{SourceStep, TestSource, byte_at};
pub use tls::Authority;

/// All cases of [`required_tests!`], [`pooling_tests!`], [`tls_tests!`] and [`tls_pooling_tests!`].
///
/// `$make` is a function from `Arc<rustls::ClientConfig>` to a [`Transport`](unifiedai_transport::Transport). The
/// configuration trusts the certificates of the case's server; a client without TLS ignores it. `except` leaves out
/// cases that a client cannot pass.
///
/// ```
/// # mod tests {
/// # type MyTransport = unifiedai_transport::BoxedTransport;
/// # fn make(tls: std::sync::Arc<unifiedai_transport_testing::rustls::ClientConfig>) -> MyTransport { todo!("{tls:?}") }
/// unifiedai_transport_testing::transport_tests!(make, except [a_get_adds_no_header]);
/// # }
/// ```
#[macro_export]
macro_rules! transport_tests {
    ($make:path) => { $crate::transport_tests!($make, except []); };
    ($make:path, except [$($except:ident)*]) => {
        $crate::required_tests!($make, except [$($except)*]);
        $crate::pooling_tests!($make, except [$($except)*]);
        $crate::tls_tests!($make, except [$($except)*]);
        $crate::tls_pooling_tests!($make, except [$($except)*]);
    };
}

/// What every transport must do, over HTTP/1.1 without TLS. Arguments as for [`transport_tests!`].
#[macro_export]
macro_rules! required_tests {
    ($make:path) => { $crate::required_tests!($make, except []); };
    ($make:path, except [$($except:ident)*]) => {
        $crate::each_case! { $make, except [$($except)*]:
            a_get_adds_no_header
            a_post_carries_its_body
            an_empty_post_has_a_length
            a_chunked_body_arrives
            a_body_ended_by_the_connection_arrives
            responses_without_a_body_end_immediately
            http_1_0_response_is_read
            statuses_above_400_are_responses
            redirects_are_not_followed
            interim_responses_are_skipped
            headers_of_60_kib_are_accepted
            long_headers_in_chunks_for_any_method
            long_headers_and_body_in_one_read
            long_headers_before_a_close_are_read
            a_header_bomb_is_refused
            too_many_headers_are_refused
            garbage_headers_are_a_protocol_error
            a_garbage_chunk_is_a_protocol_error
            a_dropped_body_closes_its_connection
            silent_server_hits_the_header_timeout
            total_timeout_limits_the_headers
            headers_may_take_longer_than_a_pause_in_the_body
            pause_in_the_body_hits_the_deadline_and_is_not_the_end
            dripping_headers_hit_the_header_timeout
            a_dripping_chunk_runs_into_the_deadline
            a_deadline_in_the_past_still_reads_what_is_there
            no_limit_is_no_limit
            a_closed_port_is_not_sent
            an_unknown_name_is_not_sent
            a_uri_without_a_host_is_not_sent
            connection_closed_before_the_response_may_be_processed
            a_cut_length_is_truncated
            a_cut_chunk_is_truncated
            a_cut_in_the_framing_of_chunks_is_truncated
            a_missing_last_chunk_is_truncated
            refused_upload_reports_its_status
            failures_contain_no_secret
        }
    };
}

/// Streamed request bodies, over HTTP/1.1 without TLS: what every transport must do that sends large bodies. Arguments as for
/// [`transport_tests!`].
#[macro_export]
macro_rules! upload_tests {
    ($make:path) => { $crate::upload_tests!($make, except []); };
    ($make:path, except [$($except:ident)*]) => {
        $crate::each_case! { $make, except [$($except)*]:
            a_streamed_body_arrives_with_its_length
            a_source_of_another_length_is_no_request
            a_failing_source_is_named
            an_early_response_ends_the_upload
            a_slow_server_slows_the_source
            an_upload_may_take_longer_than_its_headers
            an_upload_that_stops_hits_its_limit
            a_silent_server_after_an_upload_hits_the_response_limit
        }
    };
}

/// What a transport must do that uses a connection for several requests. Arguments as for [`transport_tests!`].
#[macro_export]
macro_rules! pooling_tests {
    ($make:path) => { $crate::pooling_tests!($make, except []); };
    ($make:path, except [$($except:ident)*]) => {
        $crate::each_case! { $make, except [$($except)*]:
            a_read_connection_is_used_again
            a_connection_after_chunks_is_used_again
            a_connection_with_connection_close_is_not_reused
            a_connection_after_long_trailers_is_used_again
            a_connection_is_used_again_when_only_the_end_was_left
            a_half_read_connection_is_not_used_again
            bytes_after_a_response_are_no_response
            an_idle_connection_that_died_is_not_used
            a_connection_that_closes_while_it_waits_is_not_used
            a_limit_holds_for_its_request_alone
            a_connection_after_long_headers_is_used_again
            a_connection_after_long_headers_and_body_is_used_again
        }
    };
}

/// What a transport must do that sends to `https://`. Arguments as for [`transport_tests!`].
#[macro_export]
macro_rules! tls_tests {
    ($make:path) => { $crate::tls_tests!($make, except []); };
    ($make:path, except [$($except:ident)*]) => {
        $crate::each_case! { $make, except [$($except)*]:
            tls_to_a_trusted_server_works
            an_untrusted_certificate_is_not_sent
            a_certificate_for_another_host_is_not_sent
            an_expired_certificate_is_not_sent
            an_old_version_of_tls_is_not_sent
            plain_text_instead_of_tls_is_not_sent
            tls_closed_without_notice_is_truncated
            tls_closed_with_notice_ends_a_body
            tls_closed_without_notice_after_a_framed_end_is_fine
            a_handshake_that_hangs_runs_into_the_connect_limit
            a_closed_https_port_is_not_sent
            long_headers_and_body_in_one_read_over_tls
            long_headers_before_a_tls_close_are_read
        }
    };
}

/// What a transport must do that uses a TLS connection for several requests. Arguments as for [`transport_tests!`].
#[macro_export]
macro_rules! tls_pooling_tests {
    ($make:path) => { $crate::tls_pooling_tests!($make, except []); };
    ($make:path, except [$($except:ident)*]) => {
        $crate::each_case! { $make, except [$($except)*]:
            tls_sessions_are_used_again
            a_tls_connection_after_long_headers_and_body_is_used_again
            a_tls_connection_that_closes_while_it_waits_is_not_used
        }
    };
}

/// What the transports of unifiedai also do in real networks: what their errors name, and large or wrong requests. A
/// transport of your own need not. `$make` as for [`transport_tests!`].
#[macro_export]
macro_rules! network_tests {
    ($make:path) => {
        $crate::each_case! { $make:
            a_content_length_other_than_the_bodys_is_not_sent
            a_body_before_trailers_of_40_kib_arrives
            early_response_wins_over_a_broken_request
            no_time_to_connect_is_a_limit
            a_closed_port_is_named_with_the_cause
            a_silent_port_is_named
            the_reason_why_tls_fails_is_named
            a_handshake_that_is_cut_is_no_connection
        }
    };
}

/// What only async transports can do: dropped futures and bodies. `$make` as for [`transport_tests!`]; it returns a
/// [`Blocking`].
#[macro_export]
macro_rules! async_transport_tests {
    ($make:ident) => {
        mod dropping {
            #[test]
            fn a_dropped_send_closes_its_connection() {
                $crate::async_cases::a_dropped_send_closes_its_connection(super::$make);
            }

            #[test]
            fn a_dropped_upload_closes_its_connection() {
                $crate::async_cases::a_dropped_upload_closes_its_connection(super::$make);
            }

            #[test]
            fn unpolled_send_does_not_connect() {
                $crate::async_cases::unpolled_send_does_not_connect(super::$make);
            }

            #[test]
            fn early_response_closes_the_connection() {
                $crate::async_cases::early_response_closes_the_connection(super::$make);
            }

            #[test]
            fn a_body_may_move_between_tasks() {
                $crate::async_cases::a_body_may_move_between_tasks(super::$make);
            }

            #[test]
            fn a_body_may_be_dropped_when_its_thread_ends() {
                $crate::async_cases::a_body_may_be_dropped_when_its_thread_ends(super::$make);
            }

            #[test]
            fn a_connection_that_waits_holds_no_task() {
                $crate::async_cases::a_connection_that_waits_holds_no_task(super::$make);
            }

            #[test]
            fn sends_can_run_side_by_side() {
                $crate::async_cases::sends_can_run_side_by_side(super::$make);
            }
        }
    };
}

/// Proxies from the environment. Each case runs in a process of its own, whose environment it sets.
#[macro_export]
macro_rules! proxy_tests {
    ($make:ident) => {
        mod proxy {
            #[test]
            fn a_proxy_is_taken_from_the_environment() {
                $crate::proxy::in_own_process("proxy::inside_tunnel", "200 OK");
            }

            #[test]
            fn a_proxy_that_refuses_is_not_sent() {
                $crate::proxy::in_own_process("proxy::inside_refusal", "407 Who Are You");
            }

            #[test]
            #[ignore = "needs the environment that the other tests make"]
            fn inside_tunnel() {
                $crate::proxy::tunnel(super::$make);
            }

            #[test]
            #[ignore = "needs the environment that the other tests make"]
            fn inside_refusal() {
                $crate::proxy::refusal(super::$make);
            }
        }
    };
}

/// A test of each of these [`cases`], without those in `except`. `$make` as for [`transport_tests!`].
#[macro_export]
macro_rules! each_case {
    ($make:path: $($case:ident)*) => { $crate::each_case! { $make, except []: $($case)* } };
    ($make:path, except [$($except:ident)*]: $($case:ident)*) => {
        $crate::__each_case! { ($) $make, [$($except)*], $($case)* }
    };
}

/// `$d` is a dollar sign, which a macro cannot write into the macro that it defines.
#[doc(hidden)]
#[macro_export]
macro_rules! __each_case {
    (($d:tt) $make:path, [$($except:ident)*], $($case:ident)*) => {
        // A misspelt name in `except` is an error of the compiler.
        $(
            const _: () = {
                #[allow(unused_imports)]
                use $crate::cases::$except as _;
            };
        )*

        macro_rules! __unless_excepted {
            $( ($except) => {}; )*
            ($d case:ident) => {
                #[test]
                fn $d case() {
                    $crate::cases::$d case($make);
                }
            };
        }
        $( __unless_excepted! { $case } )*
    };
}
