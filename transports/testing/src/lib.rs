//! What every transport has to do, as tests over real sockets on loopback.
//!
//! [`transport_tests!`] makes a test of each of [`cases`] for one transport. Async ones are wrapped in [`Blocking`].

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
#[cfg(unix)]
pub mod stopped;
mod tls;

pub use blocking::{BlockOn, Blocking};
pub use server::{Peer, Request, Server};
pub use tls::Authority;

/// One test a case. `$make` is a function from a `rustls::ClientConfig` to a transport.
#[macro_export]
macro_rules! transport_tests {
    ($make:path) => {
        $crate::each_case! { $make:
            a_get_adds_no_header
            a_post_carries_its_body
            an_empty_post_has_a_length
            a_chunked_body_arrives
            a_body_ended_by_the_connection_arrives
            answers_without_a_body_end_at_once
            an_http_1_0_answer_is_read
            statuses_above_400_are_answers
            redirects_are_not_followed
            interim_answers_are_skipped
            a_head_of_60_kib_is_accepted
            a_long_head_may_come_in_pieces_and_for_any_method
            a_long_head_and_its_body_may_come_at_once
            a_long_head_before_an_end_of_the_connection_is_read
            a_header_bomb_is_refused
            too_many_headers_are_refused
            a_garbage_head_is_a_protocol_error
            a_garbage_chunk_is_a_protocol_error
            a_read_connection_is_used_again
            a_connection_after_chunks_is_used_again
            a_connection_that_was_asked_to_close_is_not_used_again
            a_connection_after_long_trailers_is_used_again
            a_connection_is_used_again_when_only_the_end_was_left
            a_half_read_connection_is_not_used_again
            bytes_after_an_answer_are_no_answer
            an_idle_connection_that_died_is_not_used
            a_connection_that_closes_while_it_waits_is_not_used
            a_dropped_body_closes_its_connection
            a_limit_holds_for_its_request_alone
            a_silent_server_runs_into_the_head_limit
            the_total_limits_the_head_too
            the_head_may_take_longer_than_a_pause_in_the_body
            a_pause_runs_into_the_deadline_and_is_no_end
            a_dripping_head_runs_into_the_head_limit
            a_dripping_chunk_runs_into_the_deadline
            a_deadline_in_the_past_still_reads_what_is_there
            no_limit_is_no_limit
            a_closed_port_is_not_sent
            an_unknown_name_is_not_sent
            a_uri_without_a_host_is_not_sent
            a_handshake_that_hangs_runs_into_the_connect_limit
            a_connection_closed_before_the_answer_may_be_processed
            a_cut_length_is_truncated
            a_cut_chunk_is_truncated
            a_cut_in_the_framing_of_chunks_is_truncated
            a_missing_last_chunk_is_truncated
            a_refused_upload_tells_its_status
            tls_to_a_trusted_server_works
            tls_sessions_are_used_again
            an_untrusted_certificate_is_not_sent
            a_certificate_for_another_host_is_not_sent
            an_expired_certificate_is_not_sent
            an_old_version_of_tls_is_not_sent
            plain_text_in_place_of_tls_is_not_sent
            tls_closed_without_notice_is_truncated
            tls_closed_with_notice_ends_a_body
            tls_closed_without_notice_after_a_framed_end_is_fine
            failures_tell_no_secret
        }
    };
}

/// What goes wrong between here and the server, in real networks. `$make` as for [`transport_tests!`].
#[macro_export]
macro_rules! network_tests {
    ($make:path) => {
        $crate::each_case! { $make:
            a_content_length_other_than_the_bodys_is_not_sent
            a_body_before_trailers_of_40_kib_arrives
            an_early_answer_wins_over_a_broken_request
            no_time_to_connect_is_a_limit
            a_closed_port_is_named_with_the_cause
            a_silent_port_is_named
            the_reason_why_tls_fails_is_named
            a_handshake_that_is_cut_is_no_connection
        }
    };
}

/// What only async transports can do. `$make` gives a [`Blocking`] one.
#[macro_export]
macro_rules! async_transport_tests {
    ($make:ident) => {
        mod dropping {
            #[test]
            fn a_dropped_send_closes_its_connection() {
                $crate::async_cases::a_dropped_send_closes_its_connection(super::$make);
            }

            #[test]
            fn a_send_that_is_never_polled_connects_to_nothing() {
                $crate::async_cases::a_send_that_is_never_polled_connects_to_nothing(super::$make);
            }

            #[test]
            fn an_answer_before_the_end_of_the_request_ends_its_connection() {
                $crate::async_cases::an_answer_before_the_end_of_the_request_ends_its_connection(
                    super::$make,
                );
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

/// Proxies from the environment, which is that of a process of its own.
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

#[doc(hidden)]
#[macro_export]
macro_rules! each_case {
    ($make:path: $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::cases::$case($make);
            }
        )*
    };
}
